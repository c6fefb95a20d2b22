"""What runs "in the sandbox" of the fake runtime: `python3 -IS fake_program.py DESCRIPTION`. Stands alone.

The lines of a command, or of its input where there is none: `echo TEXT`, `error TEXT`, `sleep SECONDS`, `exit CODE`,
`cat` (to the end of the input), `size` (of the terminal), `die NAME` (by this signal), `where` (program, release).
"""

import json
import os
import shutil
import signal
import sys
import time


def main(path: str) -> int:
    with open(path, encoding="utf-8") as file:
        told = json.load(file)
    os.unlink(path)
    lines = told["command"].splitlines() if told["command"] is not None else sys.stdin
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        if word == "exit":
            return int(rest or 0)
        _do(word, rest, told)
    return 0


def _do(word: str, rest: str, told: dict[str, object]) -> None:
    if word == "echo":
        _say(f"{rest}\n")
    elif word == "error":
        os.write(2, f"{rest}\n".encode())
    elif word == "sleep":
        time.sleep(float(rest))
    elif word == "cat":
        shutil.copyfileobj(sys.stdin.buffer, sys.stdout.buffer)
        sys.stdout.flush()
    elif word == "size":
        size = os.get_terminal_size(0)
        _say(f"{size.columns}x{size.lines}\n")
    elif word == "die":
        os.kill(os.getpid(), signal.Signals[f"SIG{rest}"])
    elif word == "where":
        _say(f"{told['program']} v{told['number']}\n")


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
