"""Git's pre-receive and post-receive hook: asks the running ssh process and prints what it answers.

Started by Git for every push with `python3 -IS`, so it imports next to nothing (9 ms; `json` alone costs 7).

Request: 8 hex digits with its length, then fields ended by NUL: hook, token, Git's three quarantine variables, the
number of push options, the options, the ref updates as Git gives them. Answer: lines "P<text>" to print, at last
"X<exit code>".
"""

import _socket
import os
import sys

_LIMIT = 4 * 1024 * 1024  # bytes of ref updates, about 40,000 refs


def main() -> int:
    variables = os.environ
    updates = b""
    while len(updates) <= _LIMIT:
        piece = os.read(0, 65536)
        if not piece:
            break
        updates += piece
    options = [variables.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(_option_count())]
    fields = [
        os.path.basename(sys.argv[0]),
        variables.get("SLIPWAY_PUSH", ""),
        variables.get("GIT_OBJECT_DIRECTORY", ""),
        variables.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", ""),
        variables.get("GIT_QUARANTINE_PATH", ""),
        str(len(options)),
        *options,
    ]
    body = b"".join(os.fsencode(field) + b"\0" for field in fields) + updates
    link = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        link.connect(variables.get("SLIPWAY_HOOK_SOCKET", ""))
        link.sendall(b"%08x" % len(body) + body)
        return _answer(link)
    except OSError:
        os.write(2, b"Slipway does not answer. Nothing was changed by this hook; push again in a moment.\n")
        return 1


def _option_count() -> int:
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    return min(int(count), 100) if count.isdigit() else 0


def _answer(link: "_socket.socket") -> int:
    rest = b""
    while True:
        piece = link.recv(65536)
        if not piece:
            os.write(2, b"Slipway has ended the connection. Look at the project's page for what became of the push.\n")
            return 1
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"X"):
                return int(line[1:])
            os.write(1, line[1:] + b"\n")


if __name__ == "__main__":
    sys.exit(main())
