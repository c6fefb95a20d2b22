"""What can be read of the environments that run: what they use, whom they answered, whether they answer now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from environments.runtimes.base import Place, Probe


@dataclass(frozen=True)
class ProgramState:
    name: str  # as people know it: "store", "store (php)", "db (service)", "nginx"
    alive: bool
    restarts: int  # since it was put there
    last_exit: str = ""  # how it ended the last time, "exit code 1"; empty when it never did


@dataclass(frozen=True)
class Usage:
    cpu: float = 0.0  # seconds of CPU time that its programs have used; falls when one of them begins anew
    memory: int = 0  # bytes that its programs have to themselves
    programs: Sequence[ProgramState] = ()


@dataclass(frozen=True)
class Position:
    """How far an access log has been read."""

    file: int = 0  # which file it was; logs are rotated
    offset: int = 0


@dataclass(frozen=True)
class Requests:
    """Of visitors who were let in, since the log was last read."""

    until: Position
    count: int = 0
    errors: int = 0  # answered with 500 and above
    seconds: Sequence[float] = ()  # that each took
    last: float | None = None  # when the last one was answered, in seconds since 1970


@dataclass(frozen=True)
class Weight:
    """Bytes on disk, measured at `at` (seconds since 1970)."""

    at: float
    mounts: Mapping[str, int] = field(default_factory=dict)  # by app, worker or storage service
    services: Mapping[str, int] = field(default_factory=dict)
    logs: int = 0

    @property
    def total(self) -> int:
        return sum(self.mounts.values()) + sum(self.services.values()) + self.logs


class Gauges(Protocol):
    def usage(self, places: Iterable[Place]) -> Mapping[int, Usage]:
        """By key. One look for all of them, however many there are."""
        ...

    def requests(self, place: Place, since: Position | None) -> Requests:
        """What the access log says since then; None: nothing of what is there already."""
        ...

    def knock(self, place: Place, number: int, host: str, path: str, *, timeout: float) -> Probe:
        """Ask the release once, through a door that visits are not counted at."""
        ...

    def weigh(self) -> None:
        """Begin to measure what is on disk, beside everything else; nothing while that goes on already."""
        ...

    def weights(self, places: Iterable[Place]) -> Mapping[int, Weight]:
        """What was measured last, by key."""
        ...
