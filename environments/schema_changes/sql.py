"""SQL, as MariaDB and PostgreSQL write it, read by pattern: what cannot be told is left out, never guessed."""

import re
from collections.abc import Iterator
from itertools import islice

from environments.schema_changes.found import Statement, blanked, name, split

_NOT_TEXT = (
    r'|"(?![\w$. -]{1,80}")(?:\\[\s\S]|""|[^"\\])*(?:"|\Z)'  # text, where it is not the name of something
    r"|--[^\n]*|^[ \t]*\#[^\n]*|/\*(?!!)[\s\S]*?(?:\*/|\Z)"
)
_IGNORED = re.compile(r"'(?:\\[\s\S]|''|[^'\\])*(?:'|\Z)" + _NOT_TEXT, re.MULTILINE)
_STANDARD = re.compile(r"'(?:''|[^'])*(?:'|\Z)" + _NOT_TEXT, re.MULTILINE)  # a backslash is as any other character
_WORD = r"(?:[\w$]+|`[^`\n]{1,80}`|\"[^\"\n]{1,80}\"|\[[^\]\n]{1,80}\])"
_N = rf"({_WORD}(?:\s?\.\s?{_WORD})?)"
_IF = r"(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"
_MOST = 40  # of a kind in one statement
_LONGEST = 20_000  # characters that an ALTER TABLE may take


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text.replace(" ", r"\s+"), re.IGNORECASE)


# Looked for everywhere in a statement: blocks and conditional comments hold them too.
_DROP = _pattern(
    r"\bDROP (?:TEMPORARY )?(TABLE|DATABASE|SCHEMA|(?:MATERIALIZED )?VIEW|SEQUENCE|TYPE|EXTENSION|TRIGGER|FUNCTION"
    rf"|PROCEDURE|EVENT|USER|ROLE) {_IF}({_N}(?:\s*,\s*{_N}){{0,20}})"
)
_TRUNCATE = _pattern(rf"\bTRUNCATE (?:TABLE )?(?:ONLY )?(?!PARTITION\b){_N}")
_DELETE = _pattern(rf"\bDELETE FROM (?:ONLY )?{_N}")
_EVERY_ROW = _pattern(r"\bWHERE\s*\(?\s*(?:1|TRUE|1\s*=\s*1|'[^']*'\s*=\s*'[^']*')\s*\)?\s*\Z")
_RENAME = _pattern(rf"\bRENAME TABLE {_IF}{_N} TO {_N}")
_ALTER = _pattern(rf"\bALTER TABLE {_IF}(?:ONLY )?{_N}\s+")
_HARMLESS_DROPS = ("INDEX", "KEY", "CONSTRAINT", "FOREIGN", "PRIMARY", "CHECK", "DEFAULT")
_WIDEST = ("text", "longtext")
# Only where a statement begins.
_PLAIN = (
    (_pattern(rf"CREATE (?:(?:GLOBAL |LOCAL )?TEMPORARY |UNLOGGED )?TABLE {_IF}{_N}"), "creates the table {}"),
    (_pattern(rf"CREATE (?:UNIQUE |FULLTEXT |SPATIAL )?INDEX (?:CONCURRENTLY )?{_IF}{_N}"), "adds the index {}"),
    (_pattern(rf"DROP INDEX (?:CONCURRENTLY )?{_IF}{_N}"), "removes the index {}"),
    (_pattern(rf"CREATE (?:OR REPLACE )?(?:MATERIALIZED )?VIEW {_IF}{_N}"), "creates the view {}"),
    (_pattern(rf"INSERT (?:IGNORE )?INTO {_N}"), "adds rows to {}"),
    (_pattern(rf"REPLACE INTO {_N}"), "replaces rows of {}"),
)
_UPDATE = _pattern(rf"UPDATE (?:ONLY )?{_N}(?=\s|\Z)")
_WHERE = _pattern(r"\bWHERE\b")
_CLAUSE = _pattern(rf"\s*(ADD|DROP|RENAME|CHANGE|MODIFY|ALTER|TRUNCATE)\s+(?:(COLUMN|PARTITION)\s+)?{_IF}{_N}?")
_TYPE = _pattern(rf"\s*ALTER (?:COLUMN )?{_N} (?:SET DATA )?TYPE ([\w ]+)")
_MODIFY = _pattern(rf"\s*MODIFY (?:COLUMN )?{_IF}{_N}\s+([\w]+)")
_CHANGE = _pattern(rf"\s*CHANGE (?:COLUMN )?{_IF}{_N} {_N}\s+[\w]+")
_RENAMED = _pattern(rf"\s*RENAME (?:COLUMN )?{_N} TO {_N}")
_NEW_NAME = _pattern(rf"\s*RENAME (?:TO |AS )?{_N}\s*\Z")


def read(text: str) -> Iterator[Statement]:
    told = list(_statements(blanked(text, _IGNORED)))
    if "\\'" in text:  # the engines disagree on what that is: in doubt, it is told
        other = _statements(blanked(text, _STANDARD))
        told += [each for each in other if each.destructive]
    yield from dict.fromkeys(told)


def _statements(code: str) -> Iterator[Statement]:
    for statement in code.split(";"):
        yield from _statement(" ".join(statement.split()))


def _statement(code: str) -> Iterator[Statement]:
    for pattern, words in _PLAIN:
        if found := pattern.match(code):
            yield Statement(words.format(name(found[1])))
    for found in islice(_DROP.finditer(code), _MOST):
        for each in found[2].split(","):
            yield Statement(f"drops the {found[1].lower()} {name(each)}", destructive=True)
    for found in islice(_TRUNCATE.finditer(code), _MOST):
        yield Statement(f"empties {name(found[1])}", destructive=True)
    for found in islice(_DELETE.finditer(code), _MOST):
        rest = code[found.end() :]
        whole = not _WHERE.search(rest) or bool(_EVERY_ROW.search(rest))
        yield Statement(f"deletes {'all ' if whole else ''}rows of {name(found[1])}", destructive=whole)
    if found := _UPDATE.match(code):
        which = "" if _WHERE.search(code, found.end()) else "all "
        yield Statement(f"changes {which}rows of {name(found[1])}")
    for found in islice(_RENAME.finditer(code), _MOST):
        yield _renamed("table", found[1], found[2])
    for found in islice(_ALTER.finditer(code), _MOST):
        for begin, end in islice(split(code, ",", found.end(), min(len(code), found.end() + _LONGEST)), _MOST):
            yield from _clause(name(found[1]), code[begin:end])


def _clause(table: str, clause: str) -> Iterator[Statement]:
    """Of ALTER TABLE."""
    found = _CLAUSE.match(clause)
    if not found:
        return
    verb, partition, what = found[1].upper(), (found[2] or "").upper() == "PARTITION", found[3] or ""
    if verb == "ADD":
        yield _added(table, what)
    elif verb in ("DROP", "TRUNCATE"):
        yield _dropped(table, what, partition, verb)
    elif verb == "CHANGE" and (change := _CHANGE.match(clause)) and name(change[1]) != name(change[2]):
        yield _renamed(f"column of {table}", change[1], change[2])
    elif verb == "CHANGE" or (verb == "MODIFY" and (change := _MODIFY.match(clause))):
        yield _retyped(table, what, change[2] if verb == "MODIFY" and change else "")
    elif verb == "ALTER":
        yield from _altered(table, clause)
    elif verb == "RENAME" and what.upper() in ("INDEX", "KEY", "CONSTRAINT"):
        yield Statement(f"renames an index of {table}")
    elif verb == "RENAME" and (change := _NEW_NAME.match(clause)):
        yield _renamed("table", table, change[1])
    elif verb == "RENAME" and (change := _RENAMED.match(clause)):
        yield _renamed(f"column of {table}", change[1], change[2])


def _added(table: str, what: str) -> Statement:
    if what.upper() in (*_HARMLESS_DROPS, "UNIQUE", "FULLTEXT", "SPATIAL", "EXCLUDE"):
        return Statement(f"adds an index or a rule to {table}")
    return Statement(f"adds the column {name(what)} to {table}" if what else f"adds columns to {table}")


def _dropped(table: str, what: str, partition: bool, verb: str) -> Statement:
    if partition:
        return Statement(f"{'drops' if verb == 'DROP' else 'empties'} a partition of {table}", destructive=True)
    if what.upper() in _HARMLESS_DROPS:
        return Statement(f"removes an index or a rule of {table}")
    return Statement(f"drops the column {name(what)} of {table}", destructive=True)


def _altered(table: str, clause: str) -> Iterator[Statement]:
    if found := _TYPE.match(clause):
        yield _retyped(table, found[1], found[2].split()[0])
    elif re.search(r"\bSET\s+NOT\s+NULL\b", clause, re.IGNORECASE):
        found = _CLAUSE.match(clause)
        yield Statement(f"makes {name(found[3] or '') if found else '?'} of {table} required")


def _retyped(table: str, column: str, kind: str) -> Statement:
    """The type that it had is not known here: only the widest cannot cut anything."""
    if kind.lower() in _WIDEST:
        return Statement(f"widens the column {name(column)} of {table}")
    return Statement(f"changes the type of {name(column)} of {table}, which may cut what it holds", destructive=True)


def _renamed(what: str, old: str, new: str) -> Statement:
    return Statement(f"renames the {what} {name(old)} to {name(new)}", destructive=True)
