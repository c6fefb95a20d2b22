"""Magento's declarative schema: what changes between two versions of a db_schema.xml."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from environments.schema_changes.found import Statement, name

_WIDER = (  # from the narrowest to the widest
    ("tinyint", "smallint", "int", "bigint"),
    ("varchar", "text", "mediumtext", "longtext"),
    ("varbinary", "blob", "mediumblob", "longblob"),
    ("float", "double"),
    ("date", "datetime"),
)


@dataclass
class _Table:
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    rules: set[str] = field(default_factory=set)


class Unreadable(Exception):
    """It is no schema."""


def read(old: str, new: str) -> Iterator[Statement]:
    """Raises Unreadable."""
    before, after = _tables(old), _tables(new)
    for table in sorted(before.keys() - after.keys()):
        yield Statement(f"drops the table {name(table)}", destructive=True)
    for table in sorted(after):
        if table not in before:
            yield Statement(f"creates the table {name(table)}")
        else:
            yield from _changes(name(table), before[table], after[table])


def _tables(text: str) -> dict[str, _Table]:
    if not text.strip():
        return {}
    tables: dict[str, _Table] = {}
    at: list[str] = []  # the table, with what is inside of it

    def begin(tag: str, given: dict[str, str]) -> None:
        at.append(given.get("name", "") if tag == "table" else "")
        off = given.get("disabled") == "true"
        if tag == "table" and len(at) == 2 and not off:
            tables.setdefault(at[1], _Table())
        elif len(at) == 3 and at[1] in tables and not off:
            if tag == "column":
                tables[at[1]].columns[given.get("name", "")] = given
            elif tag in ("constraint", "index"):
                tables[at[1]].rules.add(given.get("referenceId", ""))

    def refuse(*_: object) -> None:
        raise Unreadable

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: at.pop()
    parser.StartDoctypeDeclHandler = refuse  # entities may be made to grow without end
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise Unreadable from error
    return tables


def _changes(table: str, before: _Table, after: _Table) -> Iterator[Statement]:
    for column in sorted(before.columns.keys() - after.columns.keys()):
        yield Statement(f"drops the column {name(column)} of {table}", destructive=True)
    for column, given in sorted(after.columns.items()):
        if column not in before.columns:
            yield Statement(f"adds the column {name(column)} to {table}")
        elif _narrows(before.columns[column], given):
            yield Statement(f"narrows the column {name(column)} of {table}, which may cut what it holds", True)
        elif before.columns[column] != given:
            yield Statement(f"changes the column {name(column)} of {table}")
    if added := after.rules - before.rules:
        yield Statement(f"adds {len(added)} {'index or key' if len(added) == 1 else 'indexes and keys'} to {table}")
    if gone := before.rules - after.rules:
        yield Statement(f"removes {len(gone)} {'index or key' if len(gone) == 1 else 'indexes and keys'} of {table}")


def _narrows(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    one, other = _type(old), _type(new)
    if one != other:
        family = next((each for each in _WIDER if one in each and other in each), None)
        return family is None or family.index(other) < family.index(one)
    if any(_number(new, each) < _number(old, each) for each in ("length", "precision", "scale")):
        return True
    return old.get("unsigned") != new.get("unsigned")


def _type(given: Mapping[str, str]) -> str:
    return given.get("xsi:type", given.get("type", ""))


def _number(given: Mapping[str, str], wanted: str) -> int:
    text = given.get(wanted, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
