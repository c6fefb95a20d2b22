"""Migrations of Django and of Alembic, by their calls. They are never run, nor parsed: a hostile file is only text."""

import re
from collections.abc import Callable, Iterator

from environments.schema_changes import sql
from environments.schema_changes.found import Statement, blanked, brackets, name, split

IGNORED = re.compile(
    r'"""[\s\S]*?(?:"""|\Z)|\'\'\'[\s\S]*?(?:\'\'\'|\Z)|"(?:\\.|[^"\\\n])*"?|\'(?:\\.|[^\'\\\n])*\'?|\#[^\n]*'
)
_CALL = re.compile(r"\b(?:migrations|op)\s*\.\s*(\w{3,40})\s*(\()")
_STATE_ONLY = re.compile(r"\bstate_operations\s*=\s*(\[)")
_DOWN = re.compile(r"^def\s+downgrade\b", re.MULTILINE)
_TEXT = re.compile(r'[rbuf]{0,2}("""|\'\'\'|"|\')([\s\S]*?)\1', re.IGNORECASE)
_DEEPEST = 5  # calls in calls; no tool writes more than two
_TOO_DEEP = Statement("holds operations in operations, too deep to be read", destructive=True)

# By operation: its words, whether it destroys, and the names of its arguments in their order.
_DJANGO: dict[str, tuple[str, bool, tuple[str, ...]]] = {
    "CreateModel": ("creates the model {0}", False, ("name",)),
    "DeleteModel": ("drops the table of {0}", True, ("name",)),
    "RenameModel": ("renames the model {0} to {1}", True, ("old_name", "new_name")),
    "AlterModelTable": ("renames the table of {0} to {1}", True, ("name", "table")),
    "AddField": ("adds the column {1} to {0}", False, ("model_name", "name")),
    "RemoveField": ("drops the column {1} of {0}", True, ("model_name", "name")),
    "AlterField": ("changes the column {1} of {0}", False, ("model_name", "name")),
    "RenameField": ("renames the column {1} of {0} to {2}", True, ("model_name", "old_name", "new_name")),
    "AddIndex": ("adds an index to {0}", False, ("model_name",)),
    "RemoveIndex": ("removes an index of {0}", False, ("model_name",)),
    "AddConstraint": ("adds a constraint to {0}", False, ("model_name",)),
    "RemoveConstraint": ("removes a constraint of {0}", False, ("model_name",)),
    "AlterUniqueTogether": ("changes what is unique in {0}", False, ("name",)),
}
_ALEMBIC: dict[str, tuple[str, bool, tuple[str, ...]]] = {
    "create_table": ("creates the table {0}", False, ("table_name",)),
    "drop_table": ("drops the table {0}", True, ("table_name",)),
    "rename_table": ("renames the table {0} to {1}", True, ("old_table_name", "new_table_name")),
    "add_column": ("adds a column to {0}", False, ("table_name",)),
    "drop_column": ("drops the column {1} of {0}", True, ("table_name", "column_name")),
    "create_index": ("adds the index {0}", False, ("index_name",)),
    "drop_index": ("removes the index {0}", False, ("index_name",)),
}


def django(text: str, app: str) -> Iterator[Statement]:
    code = blanked(text, IGNORED)
    pairs = brackets(code)
    for found in _STATE_ONLY.finditer(code):  # no database hears of these
        code = code[: found.start(1)] + " " * (pairs[found.start(1)] - found.start(1)) + code[pairs[found.start(1)] :]
    for verb, arguments in _calls(text, code, pairs):
        if verb == "RunSQL":
            yield from sql.read("\n;".join(_texts(arguments(0, "sql"))))
        elif verb == "RunPython":
            yield Statement(f"runs code of its own: {name(arguments(0, 'code'))}")
        elif not verb:
            yield _TOO_DEEP
        elif verb in _DJANGO:
            words, destructive, wanted = _DJANGO[verb]
            names = [name(arguments(at, each)) for at, each in enumerate(wanted)]
            yield Statement(words.format(f"{app}.{names[0]}" if app else names[0], *names[1:]), destructive)


def alembic(text: str) -> Iterator[Statement]:
    down = _DOWN.search(blanked(text, IGNORED))
    text = text[: down.start()] if down else text
    code = blanked(text, IGNORED)
    for verb, arguments in _calls(text, code, brackets(code)):
        if verb == "execute":
            yield from sql.read("\n;".join(_texts(arguments(0, "sqltext"))))
        elif verb == "alter_column":
            table, column = name(arguments(0, "table_name")), name(arguments(1, "column_name"))
            if arguments(99, "new_column_name"):
                yield Statement(f"renames the column {column} of {table}", destructive=True)
            elif arguments(99, "type_"):
                yield Statement(f"changes the type of {column} of {table}, which may cut what it holds", True)
            else:
                yield Statement(f"changes the column {column} of {table}")
        elif not verb:
            yield _TOO_DEEP
        elif verb in _ALEMBIC:
            words, destructive, wanted = _ALEMBIC[verb]
            yield Statement(words.format(*(name(arguments(at, each)) for at, each in enumerate(wanted))), destructive)


def _calls(text: str, code: str, pairs: dict[int, int]) -> Iterator[tuple[str, Callable[[int, str], str]]]:
    """(operation, what gives the argument at a place or of a name as it is written, "" when there is none)."""
    within: list[int] = []  # where the calls end that it stands in
    for found in _CALL.finditer(code):
        begin, end = found.end(), pairs.get(found.start(2), len(code))
        while within and within[-1] <= begin:
            within.pop()
        if len(within) == _DEEPEST:
            yield "", lambda at, wanted: ""
            return
        within.append(end)
        parts = [(text[at:to], code[at:to]) for at, to in split(code, ",", begin, min(end, begin + 200_000))][:50]
        yield found[1], lambda at, wanted, parts=parts: _argument(parts, at, wanted)  # type: ignore[misc]


def _argument(parts: list[tuple[str, str]], at: int, wanted: str) -> str:
    for text, code in parts:
        given = re.match(rf"\s*{wanted}\s*=(?!=)", code)
        if given:
            return text[given.end() :].strip()
    if at < len(parts) and not re.match(r"\s*\w+\s*=(?!=)", parts[at][1]):
        return parts[at][0].strip()
    return ""


def _texts(argument: str) -> list[str]:
    return [found[2] for found in _TEXT.finditer(argument)]
