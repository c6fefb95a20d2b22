"""Migrations in PHP: Laravel's, Doctrine's and the setup scripts of Magento, by their calls and the SQL they hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from environments.schema_changes import sql
from environments.schema_changes.found import Statement, blanked, brackets, name, split

_IGNORED = re.compile(
    r"'(?:\\[\s\S]|[^'\\])*(?:'|\Z)"
    r'|"(?:\\[\s\S]|[^"\\])*(?:"|\Z)'
    r"|<<<[ \t]*(?:'\w{1,40}'|\"\w{1,40}\"|\w{1,40})\n[\s\S]*?(?:\n[ \t]*[A-Z_]{2,40}\b|\Z)"
    r"|//[^\n]*|\#(?!\[)[^\n]*|/\*[\s\S]*?(?:\*/|\Z)"
)
_TEXT = re.compile(r"'((?:\\[\s\S]|[^'\\])*)'|\"((?:\\[\s\S]|[^\"\\])*)\"|<<<[ \t]*['\"]?\w{1,40}['\"]?\n([\s\S]*)\Z")
_SQL = re.compile(r"\s*(?:ALTER|CREATE|DROP|TRUNCATE|DELETE|UPDATE|INSERT|REPLACE|RENAME)\b", re.IGNORECASE)
_METHOD = re.compile(r"\bfunction\s+(\w+)\s*(\()")
_BACK = frozenset({"down", "postdown", "predown", "revert", "rollback"})
_CALL = re.compile(r"(\w+\s*::|->)\s*(\w{3,60})\s*(\()")
_CHANGES = re.compile(r"[^;]*?->\s*change\s*\(")
_WHERE = re.compile(r"->\s*\w*[wW]here\w*\s*\(")
_COLUMN_TYPES = frozenset(
    {
        *("string", "char", "text", "longText", "mediumText", "boolean", "json", "jsonb", "uuid", "ulid", "binary"),
        *("integer", "bigInteger", "unsignedBigInteger", "unsignedInteger", "smallInteger", "tinyInteger", "enum"),
        *("decimal", "float", "double", "date", "dateTime", "dateTimeTz", "time", "timestamp", "timestampTz"),
        *("foreignId", "foreignUuid"),
    }
)
_DROPS = {"dropTable": "table", "dropIfExists": "table", "dropTableIfExists": "table", "dropSequence": "sequence"}


def read(text: str) -> Iterator[Statement]:
    """What it does on its way up; the way back is left out."""
    for begin, end, code in _up(text):
        yield from _calls(text[begin:end], code[begin:end])
        for found in _IGNORED.finditer(text, begin, end):
            inner = _TEXT.match(found[0])
            held = next((part for part in inner.groups() if part is not None), "") if inner else ""
            if _SQL.match(held):
                yield from sql.read(held)


def _up(text: str) -> Iterator[tuple[int, int, str]]:
    """The bodies of its methods but those that go back."""
    code = blanked(text, _IGNORED)
    pairs = brackets(code)
    last = 0
    for found in _METHOD.finditer(code):
        opened = code.find("{", pairs[found.start(2)])
        if found.start() < last or opened < 0:
            continue
        last = pairs.get(opened, len(code))
        if found[1].lower() not in _BACK:
            yield opened, last, code


@dataclass(frozen=True)
class _Call:
    """`names`: the names among its arguments; `table`: of the Schema::table() that it stands in; `before`: what the
    same statement says before it."""

    verb: str
    names: list[str]
    count: int  # of its arguments
    table: str
    before: str
    on_schema: bool
    changes: bool  # "->change()" follows in the statement

    @property
    def first(self) -> str:
        return name(self.names[0]) if self.names else "?"

    @property
    def of(self) -> str:
        return f" of {self.table}" if self.table else ""


def _calls(text: str, code: str) -> Iterator[Statement]:
    table, until = "", -1
    pairs = brackets(code)
    for found in _CALL.finditer(code):
        opened, closed = found.start(3), pairs.get(found.start(3), len(code))
        if found.start() > until:
            table = ""
        call = _Call(
            verb=found[2],
            names=_names(text[opened + 1 : min(closed, opened + 2000)]),
            count=0 if not code[opened + 1 : closed].strip() else sum(1 for _ in _arguments(code, opened, closed)),
            table=table,
            before=re.split("[;{]", code[max(0, found.start() - 500) : found.start()])[-1],
            on_schema=found[1].startswith("Schema"),
            changes=bool(_CHANGES.match(code, closed, closed + 300)),
        )
        if call.on_schema and call.verb in ("create", "table"):
            table, until = call.first, closed
            if call.verb == "create":
                yield Statement(f"creates the table {table}")
        else:
            yield from _destruction(call) or _addition(call)


def _arguments(code: str, opened: int, closed: int) -> Iterator[tuple[int, int]]:
    return split(code, ",", opened + 1, min(closed, opened + 2000))


def _names(arguments: str) -> list[str]:
    return [found[1] or found[2] for found in re.finditer(r"'([\w.$\\-]{1,80})'|\"([\w.$\\-]{1,80})\"", arguments)][:20]


def _destruction(call: _Call) -> list[Statement]:
    verb, names = call.verb, call.names
    if verb in _DROPS or (verb == "drop" and call.on_schema):
        told = [f"drops the {_DROPS.get(verb, 'table')} {call.first}"]
    elif verb == "dropColumn" and not call.table and len(names) > 1:  # Magento: the table comes first
        told = [f"drops the column {name(names[-1])} of {name(names[0])}"]
    elif verb in ("dropColumn", "dropColumns", "dropTimestamps", "dropSoftDeletes", "dropMorphs"):
        told = [f"drops the column {name(each)}{call.of}" for each in names or ["?"]]
    elif verb in ("renameColumn", "renameTable") or (verb == "rename" and call.on_schema):
        what = "column" if verb == "renameColumn" else "table"
        told = [f"renames the {what} {call.first}{call.of} to {name(names[1]) if names[1:] else '?'}"]
    elif verb in ("truncate", "truncateTable"):
        told = [f"empties {call.first if names else 'a table'}"]
    elif verb in ("changeColumn", "modifyColumn") or (call.table and call.changes and verb in _COLUMN_TYPES):
        told = [f"changes the type of {call.first}{call.of}, which may cut what it holds"]
    elif verb == "removeAttribute":
        told = [f"removes the attribute {name(names[-1]) if names else '?'} with its values"]
    elif verb == "delete" and _deletes_all(call):
        told = [f"may delete all rows of {call.first if names else 'a table'}"]
    else:
        told = []
    return [Statement(each, destructive=True) for each in told]


def _deletes_all(call: _Call) -> bool:
    """Laravel's `DB::table("x")->delete()`, Magento's `$connection->delete("x")`."""
    if _WHERE.search(call.before):
        return False
    return (call.count == 0 and "::" in call.before) or (call.count == 1 and len(call.names) == 1)


def _addition(call: _Call) -> list[Statement]:
    verb, names, told = call.verb, call.names, ""
    if verb in ("newTable", "createTable"):
        told = f"creates the table {call.first}"
    elif verb == "addColumn" and names and call.before.rstrip().endswith("$table"):
        told = f"adds the column {call.first}"
    elif verb == "addColumn" and not call.table and len(names) > 1 and "newTable" not in call.before:
        told = f"adds the column {name(names[1])} to {name(names[0])}"
    elif call.table and names and verb in _COLUMN_TYPES:
        told = f"adds the column {call.first} to {call.table}"
    elif verb == "addAttribute" and names:
        told = f"adds the attribute {name(names[0] if '::' in call.before or len(names) < 2 else names[1])}"
    return [Statement(told)] if told else []
