"""What supervisord starts in place of a portal process: it makes room, then becomes that process.

A main process that was killed leaves children behind (granian's worker goes on serving, a build goes on
writing) and its socket file. Beside them the next one could not start, or would work twice."""

import contextlib
import json
import os
import sys
from pathlib import Path

from launcher import processes


def main(arguments: list[str]) -> None:
    """`guard ENVIRONMENT-FILE SOCKET|- PYTHON-ARGUMENTS...`"""
    stored, socket, *command = arguments
    orphans = left_by(os.environ.get(processes.MARKER, ""), os.environ.get(processes.PROGRAM, ""))
    if orphans:
        print(f"ending {len(orphans)} processes that the last one left behind", flush=True)
        processes.end(orphans, patience=3.0)
    if socket != "-":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)
    marks = {name: os.environ[name] for name in (processes.MARKER, processes.PROGRAM) if name in os.environ}
    environ = {**json.loads(Path(stored).read_text()), **marks}
    os.execve(sys.executable, [sys.executable, *command], environ)


def left_by(instance: str, program: str) -> list[processes.Process]:
    """Those of an earlier incarnation of this program; never this process or its parents."""
    if not instance or not program:
        return []
    everything = processes.snapshot()
    found = [one for one in everything.values() if (one.instance, one.program) == (instance, program)]
    line = processes.lineage(everything)
    return [one for one in found if one.pid not in line]


if __name__ == "__main__":
    main(sys.argv[1:])
