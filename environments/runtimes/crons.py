"""The crons of an environment, as every runtime runs them: begun by themselves when a release is live, each run a
sandbox of its own, one at a time per cron, paused while somebody needs quiet."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from environments.process import Watch
from environments.runtimes.base import Place


class Outcome(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMEOUT = "timeout"  # it ran longer than it may
    STOPPED = "stopped"  # somebody, or a deployment, asked it to end
    MEMORY = "memory"
    LOST = "lost"  # what watched it was killed, and it with that


class Trigger(StrEnum):
    SCHEDULE = "schedule"
    PERSON = "person"


@dataclass(frozen=True)
class Run:
    """One run of a cron, as the runtime wrote it down. Times are seconds since 1970."""

    id: str
    app: str
    cron: str
    release: int
    trigger: Trigger
    by: str  # who asked, in words; empty for the schedule
    started: float
    ended: float | None
    outcome: Outcome
    code: int | None  # 128 and more: killed by the signal 128 less
    note: str  # why it was stopped, or how it was begun in vain


class Crons(Protocol):
    """Each verb is safe to repeat."""

    def quiet(self, place: Place, watch: Watch, *, patience: float, lease: float, why: str) -> None:
        """Let no cron begin for `lease` seconds, or until `wake`; wait `patience` seconds for those that run, then end
        them. What is said meanwhile goes to the watch. Raises Stopped; quiet stays until `wake` then, too."""
        ...

    def wake(self, place: Place) -> None:
        """End the quiet. What was due meanwhile runs once."""
        ...

    def quiet_until(self, place: Place) -> float | None:
        """When the quiet ends by itself; None when there is none."""
        ...

    def allow(self, place: Place, allowed: bool) -> None:
        """Whether the schedule begins runs at all. What is due meanwhile is left out; people may still begin runs."""
        ...

    def start(self, place: Place, number: int, app: str, cron: str, *, id: str, by: str) -> None:
        """Begin a run of a release's cron now, under this id. Raises RuntimeFailure: cron-busy, cron-unknown, or
        cron-asleep when nothing runs the release's crons."""
        ...

    def stop(self, place: Place, id: str, *, why: str) -> None:
        """Ask the run to end as its cron says: stop command or SIGTERM, then SIGKILL. Returns at once."""
        ...

    def runs(self, place: Place) -> Sequence[Run]:
        """Those that run and those that ended and were not forgotten yet, the oldest first."""
        ...

    def find(self, place: Place, id: str) -> Run | None: ...

    def output(self, place: Place, id: str, *, after: int = 0) -> bytes:
        """What the run has printed, from byte `after` on. Long output lacks its middle, once it has ended."""
        ...

    def forget(self, place: Place, ids: Sequence[str]) -> None:
        """Remove what is known of these runs, for it is kept elsewhere by now. One that runs is not forgotten."""
        ...
