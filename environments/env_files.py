"""Variables as a `.env` file: NAME=value for environment variables, "prefix:key"=value for others.

What such a file cannot say stands in a comment before the line, `#: json build`, which reading understands again.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

from dotenv.parser import Binding, parse_stream

from environments.models import Variable
from portal.errors import Invalid

MAX_BYTES = 1024 * 1024
_WORDS = {  # word in the comment: the flag that it stands for, and what it sets it to
    "json": ("is_json", True),
    "sensitive": ("is_sensitive", True),
    "build": ("visible_build", True),
    "not-run": ("visible_runtime", False),
    "not-inheritable": ("is_inheritable", False),
    "disabled": ("is_enabled", False),
}
_DEFAULTS = {"is_json": False, "is_sensitive": False, "visible_build": False}
_DEFAULTS |= {"visible_runtime": True, "is_inheritable": True, "is_enabled": True}
_MARK = "#:"


@dataclass(frozen=True)
class Entry:
    name: str
    text: str
    flags: dict[str, bool]


def read(text: str) -> list[Entry]:
    """Nothing is interpolated. Of a name that stands there twice the last one counts. Raises Invalid (field text)."""
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise Invalid(f"The file is larger than {MAX_BYTES // 1024**2} MiB.", field="text")
    found: dict[str, Entry] = {}
    wrong: list[str] = []
    flags = dict(_DEFAULTS)
    for binding in parse_stream(io.StringIO(text.replace("\r\n", "\n"))):
        line = binding.original.line + _blank_lines(binding)
        if binding.error or (binding.key is not None and binding.value is None):
            wrong.append(f"line {line}: {_cut(binding.original.string)}")
        elif binding.key is None:
            flags = _flags(binding.original.string.strip())
            continue
        elif binding.value is not None:
            name = binding.key if ":" in binding.key else f"env:{binding.key}"
            found[name] = Entry(name, binding.value, flags)
        flags = dict(_DEFAULTS)
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise Invalid(f"These are no NAME=value lines: {'; '.join(wrong[:5])}{more}.", field="text")
    return list(found.values())


def write(rows: Iterable[Variable]) -> str:
    """The value of a sensitive one is not in it: its line is a comment."""
    return "".join(_lines(row) for row in rows)


def _lines(row: Variable) -> str:
    name = row.name.removeprefix("env:")
    words = [word for word, (flag, value) in _WORDS.items() if getattr(row, flag) == value]
    mark = f"{_MARK} {' '.join(words)}\n" if words else ""
    if row.is_sensitive:
        return f"# {name}= is sensitive: its value is not exported\n"
    return f"{mark}{name}={_quoted(row.text)}\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _flags(comment: str) -> dict[str, bool]:
    if not comment.startswith(_MARK):
        return dict(_DEFAULTS)
    return _DEFAULTS | dict(_WORDS[word] for word in comment.removeprefix(_MARK).split() if word in _WORDS)


def _blank_lines(binding: Binding) -> int:
    """Lines that the parser counts to a binding although they are empty and before it."""
    string = binding.original.string
    return string[: len(string) - len(string.lstrip())].count("\n")


def _cut(text: str) -> str:
    line = text.strip().partition("\n")[0]
    key = line.partition("=")[0].strip()
    return f'"{key[:40]}"'
