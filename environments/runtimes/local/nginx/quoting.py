"""Text from outside on its way into nginx's configuration: always one quoted word, never syntax, never a variable."""

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_VARIABLE = re.compile(r"\$(\d|\{?([A-Za-z_][A-Za-z0-9_]*)\}?)?")
DOLLAR = "${slipway_dollar}"  # nginx has no escape for "$": a variable that holds one stands for it


class Unsafe(ValueError):
    """The text cannot be written into the configuration at all."""


def quote(text: str) -> str:
    """The text as a word of the configuration, `$` included: for regular expressions, which know no variables."""
    if _CONTROL.search(text):
        raise Unsafe(f"{text!r} has a control character in it")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(text: str) -> str:
    """The text as a word in which variables are understood, with none in it."""
    return quote(text.replace("$", DOLLAR))


def template(text: str, allowed: dict[str, str]) -> str:
    """The text as a word whose `$name` and `$1` stand for what `allowed` says; every other `$` is a plain character."""

    def replace(match: re.Match[str]) -> str:
        known = allowed.get(match[2] or match[1] or "")
        return known if known is not None else match[0].replace("$", DOLLAR)

    return quote(_VARIABLE.sub(replace, text))


def captures(pattern: str) -> dict[str, str]:
    """What a rewrite may use of a pattern: its numbered and named groups."""
    names = re.findall(r"\(\?P?(?:<|')([A-Za-z_][A-Za-z0-9_]*)[>']", pattern)
    return {str(number): f"${number}" for number in range(1, 10)} | {name: f"${{{name}}}" for name in names}


def host(name: str) -> str:
    """A server_name. Raises Unsafe for anything but a plain host name, with or without a leading `*.`"""
    if not re.match(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?\Z", name) or len(name) > 253:
        raise Unsafe(f"{name!r} is not a host name")
    return name
