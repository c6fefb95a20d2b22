"""Which processes of this machine belong to one instance, found in /proc and ended by their ids."""

import contextlib
import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import Refused

MARKER = "SLIPWAY_INSTANCE"
PROGRAM = "SLIPWAY_PROGRAM"
"""Which of the portal's own processes something is or was started by."""
# What runs below a home and may have lost the marker from its environment, as in a sandbox.
_PROGRAMS = {"bwrap", "caddy", "mariadbd", "nginx", "php-fpm8.2", "postgres", "redis-server", "supervisord"}
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    pid: int
    parent: int
    started: str
    """Clock ticks since boot; with the pid it names one process for ever."""
    uid: int
    arguments: tuple[str, ...]
    instance: str
    program: str

    @property
    def name(self) -> str:
        return os.path.basename(self.arguments[0].split(" ")[0].rstrip(":")) if self.arguments else "?"


def read(pid: int, proc: Path = _PROC) -> Process | None:
    """None when it is gone, dead already (a zombie), or not ours to look at."""
    folder = proc / str(pid)
    try:
        fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
        if fields[0] in "ZX":
            return None
        uid = folder.stat().st_uid
        arguments = tuple(os.fsdecode((folder / "cmdline").read_bytes()).rstrip("\0").split("\0"))
        try:
            environ = (folder / "environ").read_bytes()
        except OSError:
            environ = b""
    except OSError:
        return None
    return Process(
        pid=pid,
        parent=int(fields[1]),
        started=fields[19],
        uid=uid,
        arguments=arguments,
        instance=_variable(environ, MARKER),
        program=_variable(environ, PROGRAM),
    )


def _variable(environ: bytes, name: str) -> str:
    prefix = f"{name}=".encode()
    return next(
        (os.fsdecode(entry[len(prefix) :]) for entry in environ.split(b"\0") if entry.startswith(prefix)), ""
    )


def snapshot(proc: Path = _PROC) -> dict[int, Process]:
    pids = [int(entry) for entry in os.listdir(proc) if entry.isdigit()]
    return {found.pid: found for pid in pids if (found := read(pid, proc))}


def belonging(
    everything: dict[int, Process],
    *,
    instance: str,
    roots: Collection[str],
    uid: int,
    members: Collection[int] = (),
) -> list[Process]:
    """Those with our marker, in our control group, or one of our programs with a path below the home; and children.

    Never this process or what started it: `./slipway stop` may itself be run by something of the instance."""
    ours = {
        process.pid
        for process in everything.values()
        if process.instance == instance
        or process.pid in members
        or (process.uid == uid and process.name in _PROGRAMS and _mentions(process, roots))
    }
    grown = True
    while grown:
        children = {found.pid for found in everything.values() if found.parent in ours} - ours
        ours |= children
        grown = bool(children)
    return [everything[pid] for pid in sorted(ours - lineage(everything)) if pid in everything]


def end(found: Collection[Process], *, patience: float = 5.0) -> None:
    """Ask, wait, then kill."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in found:
            if _same(process):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, sign)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(map(_same, found)):
            time.sleep(0.05)
    left = [f"{process.name} (process {process.pid})" for process in found if _same(process)]
    if left:
        raise Refused(f"still running and cannot be ended: {', '.join(left)}")


def _same(process: Process) -> bool:
    now = read(process.pid)
    return now is not None and now.started == process.started


def _mentions(process: Process, roots: Collection[str]) -> bool:
    text = " ".join(process.arguments) + " "
    return any(f"{root}/" in text or f"{root} " in text for root in roots)


def lineage(everything: dict[int, Process]) -> set[int]:
    """This process and those that started it."""
    line: set[int] = set()
    pid = os.getpid()
    while pid and pid not in line:
        line.add(pid)
        pid = everything[pid].parent if pid in everything else 0
    return line
