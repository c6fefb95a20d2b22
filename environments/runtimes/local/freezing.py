"""An environment whose programs all stand still, for as long as its data is copied."""

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from environments.process import Companion, ProcessError
from environments.runtimes.base import RuntimeFailure
from environments.runtimes.local import guard
from environments.runtimes.local.layout import Layout
from environments.runtimes.local.sandbox import interpreter

_GUARD = Path(guard.__file__)
_ANSWER = 60.0  # seconds


class Held:
    """Asks the guard; `seconds` is how long anything stood still, once it is over."""

    def __init__(self, companion: Companion) -> None:
        self._companion = companion
        self.seconds = 0.0

    def hold(self, *, but: Collection[str] = ()) -> None:
        """Stop whatever can write to the environment's data, but for these services. Raises RuntimeFailure."""
        answer = self._ask(f"hold {json.dumps(list(but))}")
        if not answer.startswith("held"):
            raise _failure(answer.removeprefix("failed "))

    def check(self) -> None:
        """Raises RuntimeFailure when anything could write meanwhile."""
        answer = self._ask("check")
        if answer != "still":
            raise _failure("something wrote meanwhile" if answer == "moved" else "it took too long")

    def _ask(self, line: str) -> str:
        try:
            return self._companion.ask(line, timeout=_ANSWER)
        except ProcessError as error:
            raise _failure(str(error)) from error


@contextmanager
def held(layout: Layout, *, limit: float) -> Iterator[Held]:
    """Nothing stands still yet: the body says what, and when. Everything goes on when it ends, however it ends."""
    release(layout)
    companion = Companion([interpreter(), "-IS", str(_GUARD), str(layout.folder), str(limit)])
    held = Held(companion)
    try:
        yield held
    finally:
        with suppress(ProcessError):
            word, _, number = companion.end(timeout=_ANSWER).partition(" ")
            held.seconds = float(number) if word == "released" else limit
        release(layout)  # whatever became of the guard


def release(layout: Layout) -> bool:
    """Let go on what a guard that was killed left standing; False when there was none."""
    return layout.folder.is_dir() and guard.release(str(layout.folder))


def left_standing(layout: Layout) -> bool:
    return layout.folder.is_dir() and guard.release(str(layout.folder), look=True)


def _failure(reason: str) -> RuntimeFailure:
    message = f"The data could not be copied at one instant: {reason}. Try again."
    return RuntimeFailure("snapshot-failed", message, by_user=False)
