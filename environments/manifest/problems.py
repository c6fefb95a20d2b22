"""What is wrong in a repository's configuration files, in words its author can act on."""

import difflib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

MAX_PROBLEMS = 50
_SHOWN = 80
_LISTED = 40
_COMPARED = 200  # names looked at for a suggestion


class Place(NamedTuple):
    file: str
    line: int | None  # counted from 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or, as a warning, not as it may seem.

    `key` is a dotted path such as `web.locations./.expires`, empty when the whole file is meant.
    """

    file: str
    line: int | None
    key: str
    message: str
    allowed: str = ""

    def __str__(self) -> str:
        where = shown(self.file, 200) + (f":{self.line}" if self.line else "")
        key = f"{shown(self.key, 200)}: " if self.key else ""
        allowed = f" Allowed: {self.allowed}." if self.allowed else ""
        return f"{where}: {key}{self.message}{allowed}"


class ManifestError(Exception):
    """The configuration cannot be used. Holds every problem that was found, at most MAX_PROBLEMS of them."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Problems:
    """Collects problems in the order found, each once, and stops counting at MAX_PROBLEMS."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, place: Place, key: str, message: str, allowed: str = "") -> None:
        self.extend([Problem(place.file, place.line, key, message, allowed)])

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if self.full:
                return
            self._found[problem] = None

    @property
    def full(self) -> bool:
        return len(self._found) >= MAX_PROBLEMS

    def __bool__(self) -> bool:
        return bool(self._found)

    def all(self) -> tuple[Problem, ...]:
        return tuple(self._found)


def shown(text: object, limit: int = _SHOWN) -> str:
    """Text from a stranger's file, fit for a message: one line, nothing invisible, not endless."""
    raw = str(text)
    clean = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in raw[:limit])
    return clean + ("..." if len(raw) > limit else "")


def quoted(text: object) -> str:
    return f'"{shown(text)}"'


def listed(names: Iterable[str]) -> str:
    first = list(itertools.islice(names, _LISTED + 1))
    return ", ".join(shown(name) for name in first[:_LISTED]) + (", ..." if len(first) > _LISTED else "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, or nothing when no known name is near."""
    near = difflib.get_close_matches(name[:_SHOWN].lower(), list(itertools.islice(known, _COMPARED)), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""
