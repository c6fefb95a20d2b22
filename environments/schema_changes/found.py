"""What is told of a migration."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MOST_STATEMENTS = 40  # of one migration are told; those that destroy come before others that find no room
_NAME = re.compile(r"[\w.$\\-]{1,80}\Z")


@dataclass(frozen=True)
class Statement:
    """One plain sentence without its full stop: "adds the column vat to order_lines"."""

    text: str
    destructive: bool = False


@dataclass(frozen=True)
class Migration:
    """A file that changes a database's schema or data. `unread`: why not all of it is told here; empty when it is."""

    path: str
    kind: str  # "django", "alembic", "php", "magento-schema", "magento-script" or "sql"
    name: str
    statements: tuple[Statement, ...]
    more: int = 0  # statements that are not told
    unread: str = ""

    @property
    def destructive(self) -> bool:
        return any(statement.destructive for statement in self.statements)


def name(text: str) -> str:
    """As somebody wrote it, without quotes; what is no name of anything is not repeated."""
    bare = "".join(text.strip().split("`")).replace('"', "").replace("'", "").replace("[", "").replace("]", "")
    return bare if _NAME.match(bare) else "?"


def bounded(statements: Iterable[Statement]) -> tuple[tuple[Statement, ...], int]:
    """In their order, each once, and how many found no room."""
    every = list(dict.fromkeys(statements))
    kept = sorted(range(len(every)), key=lambda at: (not every[at].destructive, at))[:MOST_STATEMENTS]
    return tuple(every[at] for at in sorted(kept)), len(every) - len(kept)


def split(code: str, separator: str, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
    """Where the parts are that stand between separators outside of all brackets."""
    end = len(code) if end is None else end
    depth, at = 0, begin
    for found in re.compile(r"[()\[\]{}" + re.escape(separator) + "]").finditer(code, begin, end):
        if found[0] in "([{":
            depth += 1
        elif found[0] in ")]}":
            depth = max(0, depth - 1)
        elif depth == 0:
            yield at, found.start()
            at = found.end()
    yield at, end


def brackets(code: str) -> dict[int, int]:
    """Where each bracket closes; one that does not, at the end."""
    opened: list[int] = []
    pairs: dict[int, int] = {}
    for found in re.finditer(r"[()\[\]{}]", code):
        if found[0] in "([{":
            opened.append(found.start())
        elif opened:
            pairs[opened.pop()] = found.start()
    return pairs | {at: len(code) for at in opened}


def blanked(text: str, pattern: re.Pattern[str]) -> str:
    """The text, as long as before, with strings and comments made of spaces (quotes and line ends stay)."""
    return pattern.sub(lambda found: _blank(found[0]), text)


def _blank(text: str) -> str:
    inner = re.sub(r"[^\n]", " ", text[1:-1])
    quoted = text[0] in "'\"" and len(text) > 1
    return f"{text[0]}{inner}{text[-1]}" if quoted else re.sub(r"[^\n]", " ", text)
