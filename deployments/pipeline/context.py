"""What every step of an activity is given."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings

from deployments.logs import LogWriter
from deployments.models import Activity
from deployments.pipeline.keeper import Keeper
from deployments.redaction import Redactor
from deployments.state import LostLease
from environments.models import Environment
from environments.process import Stopped, Watch
from environments.runtimes.base import Runtime
from portal.models import Project

T = TypeVar("T")

BOLD, GREEN, YELLOW, RED, FAINT, PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"


class Context:
    """One activity as it runs: what it is for, where its log goes, when it must stop."""

    def __init__(self, activity: Activity, runtime: Runtime, keeper: Keeper) -> None:
        self.activity = activity
        self.runtime = runtime
        self.redactor = Redactor()
        self.log = LogWriter(activity.pk, self.redactor, claim=activity)
        self.outcome = ""  # one plain sentence, when it succeeds
        self.cancellable = True  # of the part that runs now
        self._keeper = keeper
        self._kept: dict[object, Any] = {}

    @property
    def project(self) -> Project:
        return self.activity.project

    @property
    def environment(self) -> Environment:
        assert self.activity.environment is not None, "this kind of activity has an environment"
        return self.activity.environment

    def keep(self, make: Callable[["Context"], T]) -> T:
        """What `make` makes of this activity: made once, the same for every step."""
        if make not in self._kept:
            self._kept[make] = make(self)
        kept: T = self._kept[make]
        return kept

    def hide(self, secrets: Iterable[str]) -> None:
        """From now on these are replaced in the log."""
        self.redactor.add(secrets)

    def should_stop(self) -> str | None:
        return self._keeper.reason(cancellable=self.cancellable)

    def check(self) -> None:
        """Raises Stopped when somebody cancelled, LostLease when the claim is gone."""
        self.check_lost()
        reason = self.should_stop()
        if reason:
            raise Stopped(reason)

    def check_lost(self) -> None:
        if self._keeper.lost:
            raise LostLease(f"The claim on activity {self.activity.pk} is gone.")

    def watch(self, *, total: float | None = None, silence: float | None = None) -> Watch:
        """How a long command is watched; its output goes to the log."""
        return Watch(
            output=self.log.write,
            should_stop=self.should_stop,
            total=total,
            silence=settings.SILENCE_TIMEOUT if silence is None else silence,
        )

    def heading(self, text: str, detail: str = "") -> None:
        """Begin a part of the log."""
        self.log.line()
        self.log.line(f"{BOLD}{text}{PLAIN}" + (f" {FAINT}{detail}{PLAIN}" if detail else ""))

    def say(self, text: str, colour: str = "") -> None:
        self.log.line(f"  {colour}{text}{PLAIN}" if colour else f"  {text}")


@dataclass(frozen=True)
class Part:
    """One step: `run` does it, safe to repeat, and may return a note that is shown instead of the duration."""

    name: str
    title: str
    run: Callable[[Context], str | None]
    cancellable: bool = True


@dataclass(frozen=True)
class Procedure:
    """How one kind of activity is carried out, and what becomes of it when it cannot be finished."""

    parts: Callable[[Context], Sequence[Part]]  # asked again after each step: it may know more by then
    resumes: Callable[[Activity], bool]  # whether the steps that are left may be run by another worker when one is lost
    undo: Callable[[Activity, Runtime], None]  # remove what one that failed left half done; safe to repeat
