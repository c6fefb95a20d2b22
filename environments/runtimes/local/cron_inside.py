"""The first program in the sandbox of a cron's run: starts its command, and does what the scheduler asks.

Stands alone: run as `python3 -IS`, with the scheduler at the other end of its input: `s` asks for the stop command, `t`
for SIGTERM, and the end of the input means that the scheduler is gone: then this ends, and the sandbox with it.
"""

import contextlib
import os
import signal
import threading

_START, _STOP = "/run/slipway/script", "/run/slipway/stop"


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = _spawn(_START)
    threading.Thread(target=_obey, args=(child,), daemon=True).start()
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _obey(child: int) -> None:
    while asked := os.read(0, 1):
        if asked == b"s":
            _spawn(_STOP)
        elif asked == b"t":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGTERM)
    os._exit(137)


def _spawn(script: str) -> int:
    nothing = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    defaults = [signal.SIGTERM, signal.SIGINT, signal.SIGPIPE]
    argv = ["/bin/dash", script]
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=nothing, setsid=True, setsigdef=defaults)


if __name__ == "__main__":
    main()
