"""What may be the name and the value of a variable that a person sets. Pure; every refusal says what would be right."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from environments.variables import MAX_BYTES, MAX_TOTAL_BYTES, Variable
from portal.errors import Invalid

MAX_NAME = 256
MAX_PLACE = 300  # variables of one environment, or of a project
_DEEPEST = 100

_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_KEY = re.compile(r"[A-Za-z0-9_.:/\[\]-]+\Z")
_INI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")
_PROVIDED = re.compile(
    r"(?:PLATFORM|MAGENTO_CLOUD)_(?:APPLICATION|APPLICATION_NAME|APP_COMMAND|APP_DIR|BRANCH|CACHE_DIR|DOCUMENT_ROOT"
    r"|ENVIRONMENT|ENVIRONMENT_TYPE|OUTPUT_DIR|POST_APP_COMMAND|PRE_APP_COMMAND|PROJECT|PROJECT_ENTROPY|RELATIONSHIPS"
    r"|ROUTES|SMTP_HOST|TREE_ID|VARIABLES|VENDOR)\Z|PORT\Z|SOCKET\Z"
)


def name(given: str) -> str:
    """The name as it is kept: names of environment variables are in upper case. Raises Invalid (field name)."""
    text = given.strip()
    prefix, colon, key = text.partition(":")
    if not text:
        raise Invalid("Give it a name, as env:API_URL.", field="name")
    if len(text) > MAX_NAME:
        raise Invalid(f"The name has {len(text)} characters; {MAX_NAME} are possible.", field="name")
    if not colon or not prefix or not key:
        raise Invalid(
            f'Write "env:{_shown(text.strip(":"))}" for an environment variable, or "prefix:key".', field="name"
        )
    if prefix.lower() == "env":
        return _environment(key)
    if not _PREFIX.match(prefix):
        raise Invalid(f'The prefix "{_shown(prefix)}" may have letters, digits, ".", "_" and "-".', field="name")
    if prefix == "php" and not _INI.match(key):
        raise Invalid(f'"{_shown(key)}" cannot be the name of a PHP setting, as memory_limit is.', field="name")
    if not _KEY.match(key):
        allowed = "letters, digits and any of . : / _ - [ ], no spaces"
        raise Invalid(f'The key "{_shown(key)}" may have {allowed}.', field="name")
    return text


def _environment(key: str) -> str:
    if not _ENVIRONMENT.match(key):
        message = f'"{_shown(key)}" cannot be the name of an environment variable.'
        raise Invalid(f"{message} Use letters, digits and _, and no digit first.", field="name")
    if _PROVIDED.match(key.upper()):
        raise Invalid(f"{key.upper()} is set by Slipway itself. Choose another name.", field="name")
    return f"env:{key.upper()}"


def value(name: str, text: str, *, is_json: bool) -> Any:
    """What the text means. Raises Invalid (field value)."""
    if "\0" in text:
        raise Invalid("The value holds a NUL character. Remove it.", field="value")
    try:
        size = len(text.encode()) + len(name.removeprefix("env:")) + 1
    except UnicodeEncodeError:
        raise Invalid("The value is not text: it holds half of a character.", field="value") from None
    if size > MAX_BYTES:
        message = f"With its name it takes {size:,} bytes; Linux starts no program with a variable over {MAX_BYTES:,}."
        raise Invalid(f"{message} Put large values in a file on a mount.", field="value")
    return _json(text) if is_json else text


def together(variables: Iterable[Variable]) -> None:
    """Raises Invalid when no program could be started with all of them, or no build."""
    known = [variable for variable in variables if variable.is_enabled]
    for sort, visible in (("builds", "visible_build"), ("programs", "visible_runtime")):
        seen = {variable.name: variable.value for variable in known if getattr(variable, visible)}
        total = sum(len(_text(value).encode("utf-8", "replace")) + len(name) for name, value in seen.items())
        rest = {name: value for name, value in seen.items() if not name.startswith(("env:", "php:"))}
        packed = len(base64.b64encode(json.dumps(rest, ensure_ascii=False).encode("utf-8", "replace")))
        if packed > MAX_BYTES - 100:
            message = f"All that {sort} get in PLATFORM_VARIABLES takes {packed:,} bytes; {MAX_BYTES:,} are possible."
            raise Invalid(f"{message} Shorten or remove some that do not begin with env:.", field="value")
        if total > MAX_TOTAL_BYTES:
            raise Invalid(
                f"All that {sort} get takes {total:,} bytes; {MAX_TOTAL_BYTES:,} are possible.", field="value"
            )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _json(text: str) -> Any:
    try:
        found = json.loads(text, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()
        if _depth(found) > _DEEPEST:
            raise RecursionError
    except json.JSONDecodeError as error:
        message = f"This is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise Invalid(message, field="value") from None
    except UnicodeEncodeError:
        raise Invalid("This JSON holds half of a character, as \\ud800 is.", field="value") from None
    except RecursionError:
        raise Invalid(f"This JSON is nested deeper than {_DEEPEST} levels.", field="value") from None
    except ValueError as error:
        raise Invalid(f"This is not JSON: {error}.", field="value") from None
    return found


def _depth(found: Any) -> int:
    depth, level = 0, [found]
    while level := [entry for each in level for entry in _entries(each)]:
        depth += 1
    return depth


def _entries(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON value")


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:60]}…"
