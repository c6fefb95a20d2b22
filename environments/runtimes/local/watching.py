"""Whether a program that was started stays up, and what it said last."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from environments.process import Watch
from environments.runtimes.local.supervisor import Supervisor

_ENOUGH = 3
_TAIL_BYTES = 4096
_TAIL_LINES = 15
_LOG_BYTES = 20 * 1024**2  # as supervisord keeps of the logs that it writes


class Crashes:
    """Counts the ends of a group's programs, as seen from now on."""

    def __init__(self, supervisor: Supervisor, group: str, names: Sequence[str]) -> None:
        self._supervisor = supervisor
        self._group = group
        self._names = names
        self._ends: dict[str, set[int]] = {name: set() for name in names}

    def seen(self) -> str | None:
        """The name of a program that has ended by itself too often to be waited for."""
        for status in self._supervisor.statuses(self._group, self._names):
            if status.state in ("BACKOFF", "EXITED") and status.stopped:
                self._ends[status.name].add(status.stopped)
            if status.state == "FATAL" or len(self._ends[status.name]) >= _ENOUGH:
                return status.name
        return None


@contextlib.contextmanager
def logged(log: Path | None, watch: Watch) -> Iterator[Watch]:
    """A watch whose output also goes to the end of `log`. A full disk costs the log its lines, not the command."""
    if log is None:
        yield watch
        return
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))
    with log.open("ab", buffering=0) as file:

        def output(data: bytes) -> None:
            with contextlib.suppress(OSError):
                file.write(data)
            watch.output(data)

        yield replace(watch, output=output)


def tail(log: Path) -> str:
    """The last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_TAIL_LINES:])
