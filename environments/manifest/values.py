"""The small types of the configuration format: names, paths, durations, patterns. Each says what would be right."""

import ipaddress
import re
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from .documents import Number, plain
from .problems import did_you_mean, quoted

MAX_PATTERNS = 5000
MAX_PATTERN_TEXT = 256 * 1024
FOREVER = 100 * 365 * 86400  # seconds; no cache time is longer

_MAX_PARTS = 64
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "M": 30 * 86400, "y": 365 * 86400}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CAPTURE = re.compile(r"\$(?:(\d+)|\{?([A-Za-z_]\w*)\}?)|\$")
_NAMED_GROUP = re.compile(r"\(\?(?:<|')([A-Za-z_]\w*)[>']")
_ATOM = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]")  # an escape or a character class
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+(?::|(?=\)))")
_ONLY_PYTHON = ("unknown extension", "look-behind requires fixed-width")  # complaints about what PCRE allows


def wrong(message: str, allowed: str = "", below: tuple[str, ...] = ()) -> PydanticCustomError:
    """`below` leads from what is being validated to what is wrong, when that is known better here."""
    return PydanticCustomError("wrong", "{text}", {"text": message, "allowed": allowed, "below": below})


def _line(value: Any) -> str:
    """Text on one line, without control characters: it goes into configuration files and headers."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise wrong("It must be text.", "text, in quotes if needed")
    if _CONTROL.search(value):
        raise wrong("It must be one line, without control characters.")
    return value


def _script(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong("It must be text: a command or a script.", 'a text such as "npm start", or a block after "|"')
    if "\0" in value:
        raise wrong("It must not hold a NUL character.")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong(f"It must be true or false, not {describe(value)}.", "true, false")
    return value


def describe(value: Any) -> str:
    """What a person would call the value they wrote."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value.text if isinstance(value, Number) else value)


def named(pattern: str, allowed: str) -> BeforeValidator:
    """A check for names, which become parts of host names, file names and process names."""
    compiled = re.compile(pattern + r"\Z")

    def check(value: Any) -> str:
        if not isinstance(value, str) or not compiled.match(value):
            raise wrong(f"{describe(value)} cannot be used as a name here.", allowed)
        return value

    return BeforeValidator(check)


def one_of(*choices: str) -> BeforeValidator:
    def check(value: Any) -> str:
        if isinstance(value, str) and value in choices:
            return value
        hint = did_you_mean(str(value), choices)
        raise wrong(f"{describe(value)} is not known here.{hint}", ", ".join(choices))

    return BeforeValidator(check)


def whole(minimum: int, maximum: int, unit: str = "") -> BeforeValidator:
    def check(value: Any) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value) else value
        if isinstance(number, bool) or not isinstance(number, int) or not minimum <= number <= maximum:
            raise wrong(f"It must be a whole number, not {describe(value)}.", f"{minimum} to {maximum}{unit}")
        return number

    return BeforeValidator(check)


def _lines(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        raise wrong(f"It must be a list, not {describe(value)}.", "a list of texts")
    return tuple(_line(entry) for entry in value)


def seconds(value: Any) -> int:
    """`expires` and other durations -> seconds; -1 means not at all."""
    text = value if isinstance(value, str) else str(value)
    match = re.fullmatch(r"(\d{1,12})(s|m|h|d|w|M|y)?", text)
    if isinstance(value, bool) or not (match or text in ("-1", "-1s")):
        raise wrong(f"{describe(value)} is not a time.", "-1, or a number, of seconds or with s, m, h, d, w, M, y")
    if match is None:
        return -1
    return min(int(match[1]) * _UNITS[match[2] or "s"], FOREVER)


def _size(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"\d{1,9}[kKmMgG]?", text):
        raise wrong(f"{describe(value)} is not a size.", "a number of bytes, or a number with k, m or g")
    return text.lower()


def beneath(value: Any) -> str:
    """A folder below the app's root, without slashes around it; "" is the root itself."""
    if not isinstance(value, str):
        raise wrong(f"It must be a path, not {describe(value)}.")
    parts = [part for part in value.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise wrong(f'The path {quoted(value)} leaves the folder of the app: ".." is not allowed.')
    if _CONTROL.search(value) or len(value) > 1024 or len(parts) > _MAX_PARTS:
        allowed = f"up to 1024 characters and {_MAX_PARTS} folders, no control characters"
        raise wrong(f"The path {quoted(value)} cannot be used.", allowed)
    if value.startswith("~"):
        raise wrong('The path must not begin with "~".', "a path below the root of the app")
    return "/".join(parts)


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise wrong(f"{describe(value)} is not a path of the site.", 'a path with a leading "/"')
    if _CONTROL.search(value) or "//" in value or ".." in value.split("/") or re.search(r"[\s{};\"'\\$]", value):
        raise wrong(f"The path {quoted(value)} cannot be used.", "a plain URL path")
    return value


def pattern(value: Any, info: ValidationInfo) -> str:
    """A PCRE pattern, as far as Python can tell. nginx's own check has the last word."""
    if not isinstance(value, str) or not value or _CONTROL.search(value):
        raise wrong(f"{describe(value)} is not a pattern.", "a regular expression on one line")
    if info.context is not None:
        info.context.patterns += 1
        info.context.pattern_text += len(value)
        if info.context.patterns > MAX_PATTERNS or info.context.pattern_text > MAX_PATTERN_TEXT:
            raise wrong(
                "There are too many patterns.", f"up to {MAX_PATTERNS}, of {MAX_PATTERN_TEXT} characters together"
            )
    reason = ""
    try:
        compiled(value)
    except RecursionError:
        reason = "it is nested too deeply"
    except (re.error, OverflowError) as error:
        reason = str(error)
    if reason and not reason.startswith(_ONLY_PYTHON) and not (reason.startswith("multiple repeat") and "}{" in value):
        raise wrong(f"The pattern {quoted(value)} is not valid: {reason}.", "a regular expression (PCRE)")
    return value


@lru_cache(maxsize=1024)
def compiled(text: str) -> re.Pattern[str]:
    """The skeleton of a PCRE pattern: its groups and quantifiers, with each escape and character class made an "a".

    Those differ between PCRE and Python, and large classes are slow to compile. Raises re.error.
    """
    skeleton = _ATOM.sub("a", text)
    skeleton = _FLAGS.sub("(?:", skeleton)
    skeleton = _NAMED_GROUP.sub(r"(?P<\1>", skeleton)
    return re.compile(skeleton)


def check_captures(target: str, rule: str | None, below: tuple[str, ...]) -> None:
    """Each `$1` and `$name` of a rewrite must be a group of the pattern: anything else would be a variable of nginx."""
    try:
        match = compiled(rule) if rule else None
    except (re.error, RecursionError, OverflowError):
        return  # not a pattern, or one for nginx to judge
    groups, names = (match.groups, list(match.groupindex)) if match else (0, [])
    for found in _CAPTURE.finditer(target):
        number, name = found[1], found[2]
        if not (name in names or (number and int(number[:4]) <= groups)):
            known = [f"${i + 1}" for i in range(min(groups, 9))] + [f"${name}" for name in names]
            allowed = ", ".join(known) or 'no "$" here'
            raise wrong(f"{quoted(found[0])} is not a group of the pattern.", allowed, below)


def passthru(value: Any) -> bool | str:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.startswith("/") and not re.search(r"[\s\x00-\x1f\x7f{};\"'\\]", value):
        return value
    raise wrong(f"{describe(value)} cannot be passed on to.", 'true, false, or a path with a leading "/"')


def _header(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", value):
        raise wrong(f"{describe(value)} is not the name of a header.", "letters, digits and dashes")
    return value


def _host(value: Any) -> str:
    label = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
    if not isinstance(value, str) or len(value) > 253 or not re.fullmatch(rf"{label}(\.{label})*", value.lower()):
        raise wrong(f"{describe(value)} is not a host name.")
    return value.lower()


def _address(value: Any) -> str:
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise wrong(f"{describe(value)} is not an IP address.", 'such as "192.0.2.1"') from None


Line = Annotated[str, BeforeValidator(_line)]
Lines = Annotated[tuple[str, ...], BeforeValidator(_lines)]
Script = Annotated[str, BeforeValidator(_script)]
Truth = Annotated[bool, BeforeValidator(_truth)]
Seconds = Annotated[int, BeforeValidator(seconds)]
ByteSize = Annotated[str, BeforeValidator(_size)]
Folder = Annotated[str, BeforeValidator(beneath)]
SitePath = Annotated[str, BeforeValidator(_prefix)]
Pattern = Annotated[str, BeforeValidator(pattern)]
Passthru = Annotated[bool | str, BeforeValidator(passthru)]
HeaderName = Annotated[str, BeforeValidator(_header)]
HostName = Annotated[str, BeforeValidator(_host)]
Address = Annotated[str, BeforeValidator(_address)]
Json = Annotated[Any, BeforeValidator(plain)]

AppName = Annotated[
    str, named(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9_])?", "lower-case letters, digits, - and _, up to 63 of them")
]
Name = Annotated[
    str, named(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", "letters, digits, . - and _, up to 63, first a letter or digit")
]
RelationshipName = Annotated[
    str, named(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", "letters, digits, - and _, up to 63 of them")
]
DiskSize = Annotated[int, whole(128, 10_000_000, " (MB)")]
ContainerSize = Annotated[str, one_of("AUTO", "XS", "S", "M", "L", "XL", "2XL", "4XL")]
Role = Annotated[str, one_of("viewer", "contributor", "admin")]
