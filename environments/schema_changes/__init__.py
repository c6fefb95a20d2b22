"""Which migrations of databases a change holds, and what they do. Pure: text in, plain sentences out; nothing is run.

It goes by pattern, for people who decide: it tells what it recognises, marks what destroys, and says what it has not
read. Files are a stranger's: every pattern takes time in proportion to the text, and text is bounded.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from environments.schema_changes import magento, php, python, sql
from environments.schema_changes.found import Migration, Statement, bounded

MAX_CHARACTERS = 256 * 1024  # of a file that are read
MOST = 200  # migrations that are told

_KINDS = (
    ("magento-schema", re.compile(r"(?:.*/)?etc/db_schema\.xml\Z")),
    (
        "magento-script",
        re.compile(
            r"(?:.*/)?Setup/(?:(?:Install|Upgrade)(?:Schema|Data)|Recurring(?:Data)?|Uninstall|Patch/(?:.*/)?\w+)\.php\Z"
        ),
    ),
    ("alembic", re.compile(r"(?:.*/)?(?:alembic|migrations)/versions/[\w-]+\.py\Z")),
    ("django", re.compile(r"(?:.*/)?migrations/(?!__init__)\w+\.py\Z")),
    ("php", re.compile(r"(?:.*/)?(?:[Mm]igrations|DoctrineMigrations)/(?:.*/)?\w+\.php\Z")),
    ("sql", re.compile(r"(?:.*/)?[^/]+\.sql\Z", re.IGNORECASE)),
)
_ELSEWHERE = re.compile(r"(?:.*/)?(?:tests?|vendor|node_modules)/")  # not run by a deployment of this code


@dataclass(frozen=True)
class Changed:
    """A file of a change. `new`: its text, None where it was not read; `old`: what it was, "" when it is new."""

    path: str
    new: str | None
    old: str = ""
    deleted: bool = False


@dataclass(frozen=True)
class Found:
    migrations: tuple[Migration, ...]
    more: int = 0  # that are not told

    @property
    def destructive(self) -> int:
        return sum(migration.destructive for migration in self.migrations)

    @property
    def unread(self) -> int:
        return self.more + sum(bool(migration.unread) for migration in self.migrations)

    def plain(self) -> list[dict[str, Any]]:
        """For Release.migrations."""
        return [asdict(each) | {"destructive": each.destructive} for each in self.migrations]


def kind_of(path: str) -> str:
    """ "" when the path is no migration's. Pure of its text: which of several tools wrote it shows there."""
    if _ELSEWHERE.match(path):
        return ""
    return next((kind for kind, pattern in _KINDS if pattern.match(path)), "")


def read(files: Iterable[Changed]) -> Found:
    listed = [each for each in files if kind_of(each.path)]
    told = [each for each in map(_migration, listed[:MOST]) if each]
    return Found(tuple(told), max(0, len(listed) - MOST))


def _migration(file: Changed) -> Migration | None:
    kind = kind_of(file.path)
    if file.deleted and kind != "magento-schema":
        return None  # what has run is not undone by it
    unread = "" if file.deleted or file.new is not None else "It is too large to be read here."
    new, old = (file.new or ""), file.old
    if max(len(new), len(old)) > MAX_CHARACTERS:
        unread = f"Only its first {MAX_CHARACTERS // 1024} KiB were read."
        if kind == "magento-schema":
            return Migration(file.path, kind, _name(file.path), (), unread="It is too large to be read here.")
    try:
        found = _statements(kind, file.path, old[:MAX_CHARACTERS], new[:MAX_CHARACTERS])
        statements, more = bounded(found if not unread or new else ())
    except magento.Unreadable:
        return Migration(file.path, kind, _name(file.path), (), unread="It is no schema that can be read.")
    if kind == "django" and not statements and not unread and "Migration" not in new:
        return None  # a module beside the migrations
    return Migration(file.path, kind, _name(file.path), statements, more, unread)


def _statements(kind: str, path: str, old: str, new: str) -> Iterator[Statement]:
    if kind == "magento-schema":
        return magento.read(old, new)
    readers = {"magento-script": php.read, "php": php.read, "sql": sql.read, "alembic": python.alembic}
    if kind == "django":
        return _added(python.django(new, _app(path)), python.django(old, _app(path)))
    return _added(readers[kind](new), readers[kind](old))


def _added(new: Iterator[Statement], old: Iterator[Statement]) -> Iterator[Statement]:
    """Of a file that was there before, only what it did not do already."""
    known = set(old)
    return (each for each in new if each not in known)


def _app(path: str) -> str:
    """Django calls an app by its folder."""
    parts = path.split("/")
    return parts[-3] if len(parts) > 2 and parts[-3].isidentifier() else ""


def _name(path: str) -> str:
    """As people call it: "0042_order_lines_vat"; of Magento's, which are all called alike, the module's folder too."""
    parts = path.split("/")
    if parts[-1] == "db_schema.xml":
        return "/".join(parts[-3:])
    return parts[-1].rsplit(".", 1)[0]


__all__ = ["MAX_CHARACTERS", "MOST", "Changed", "Found", "Migration", "Statement", "kind_of", "read"]
