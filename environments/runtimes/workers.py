"""The workers of a release, as every runtime keeps them running."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from environments.runtimes.base import Place


class Condition(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"  # its release does not serve yet
    RESTARTING = "restarting"  # it has ended and is being started, or waits a little before that
    STOPPED = "stopped"


@dataclass(frozen=True)
class WorkerState:
    name: str  # "app--worker"
    condition: Condition
    since: float | None  # seconds since 1970
    restarts: int  # in its release
    last_exit: str  # how it ended last, as in "exit code 1"; empty when it never did, or that is not known any more
    last_exit_at: float | None


class Workers(Protocol):
    def states(self, place: Place, number: int) -> Sequence[WorkerState]:
        """Of all workers of a release, by name; empty when there are none, or the release does not run."""
        ...

    def restart(self, place: Place, number: int, name: str) -> None:
        """End the worker and start it again; returns when it was started."""
        ...
