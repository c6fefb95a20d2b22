"""The part of a service's configuration that the SQL engines share: schemas, endpoints and who may what."""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from environments.manifest.problems import did_you_mean, shown
from portal.errors import Invalid

_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,53}\Z")
_SCHEMA = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,56}\Z")
_MAX = 64  # schemas, and endpoints


@dataclass(frozen=True)
class Words:
    """How an engine calls things: "schemas"/"default_schema" or "databases"/"default_database"."""

    schemas: str
    default: str
    endpoint: str  # the endpoint there is when nothing is configured
    privileges: Collection[str]
    reserved: Collection[str]  # names that no schema may have


@dataclass(frozen=True)
class Endpoint:
    name: str
    default: str | None  # the schema in the relationship's path
    privileges: Mapping[str, str]  # schema -> privilege


@dataclass(frozen=True)
class Layout:
    schemas: Sequence[str]
    endpoints: Sequence[Endpoint]  # the default one first

    def endpoint(self, name: str) -> Endpoint:
        return next(endpoint for endpoint in self.endpoints if endpoint.name == name)


def read(configuration: Mapping[str, Any], words: Words) -> Layout:
    """Schemas and endpoints that are asked for. Giving either of the two lists disables both defaults.

    Raises Invalid, its `field` being the dotted key below `configuration`.
    """
    if not configuration.get(words.schemas) and not configuration.get("endpoints"):
        return Layout(("main",), (Endpoint(words.endpoint, "main", {"main": "admin"}),))
    schemas = _schemas(configuration.get(words.schemas) or [], words)
    given = configuration.get("endpoints") or {}
    if not isinstance(given, Mapping):
        raise Invalid("Give a mapping of endpoint names to what they may.", field="endpoints")
    if len(given) > _MAX:
        raise Invalid(f"There are too many endpoints; {_MAX} are allowed.", field="endpoints")
    endpoints = [_endpoint(name, value, schemas, words) for name, value in given.items()]
    endpoints.sort(key=lambda endpoint: endpoint.name != words.endpoint)
    return Layout(schemas, endpoints)


def new_secrets(layout: Layout, known: Mapping[str, Any] | None) -> dict[str, Any]:
    known = known or {}
    kept = known.get("endpoints") or {}
    passwords = {endpoint.name: kept.get(endpoint.name) or password() for endpoint in layout.endpoints}
    return {"admin": known.get("admin") or password(), "endpoints": passwords}


def password() -> str:
    """128 bits in letters and digits: nothing that a URL, a shell or an .ini file would read differently."""
    return secrets.token_hex(16)


def refuse_unknown(given: Mapping[str, Any], known: Collection[str], where: str = "") -> None:
    for key in given:
        if key not in known:
            field = f"{where}.{shown(key)}" if where else shown(key)
            allowed = ", ".join(sorted(known))
            raise Invalid(f"This key is not known.{did_you_mean(str(key), known)} Allowed: {allowed}.", field=field)


def _schemas(given: Any, words: Words) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(name, str) for name in given):
        raise Invalid("Give a list of names.", field=words.schemas)
    if len(given) > _MAX:
        raise Invalid(f"There are too many names; {_MAX} are allowed.", field=words.schemas)
    for name in given:
        if not _SCHEMA.match(name) or name.lower() in words.reserved:
            rule = "letters, digits, _ and -, at most 57, and none of the server's own names"
            raise Invalid(f'"{shown(name)}" cannot be used as a name here; allowed are {rule}.', field=words.schemas)
    return tuple(dict.fromkeys(given))


def _endpoint(name: Any, value: Any, schemas: Sequence[str], words: Words) -> Endpoint:
    where = f"endpoints.{shown(name)}"
    if not isinstance(name, str) or not _ENDPOINT.match(name):
        raise Invalid("An endpoint's name has letters, digits, _ and -, at most 54.", field=where)
    value = {} if value is None else value
    if not isinstance(value, Mapping):
        raise Invalid(f"Give a mapping with {words.default} and privileges.", field=where)
    refuse_unknown(value, (words.default, "privileges"), where)
    privileges = value.get("privileges") or {}
    if not isinstance(privileges, Mapping):
        raise Invalid("Give a mapping of names to privileges.", field=f"{where}.privileges")
    for schema, privilege in privileges.items():
        _known(schema, schemas, f"{where}.privileges.{shown(schema)}")
        if privilege not in words.privileges:
            allowed = ", ".join(words.privileges)
            hint = did_you_mean(str(privilege), words.privileges)
            message = f'"{shown(privilege)}" is not a privilege.{hint} Allowed: {allowed}.'
            raise Invalid(message, field=f"{where}.privileges.{shown(schema)}")
    default = value.get(words.default) or next(iter(privileges), None)
    if default is not None:
        _known(default, schemas, f"{where}.{words.default}")
    return Endpoint(name, default, dict(privileges))


def _known(schema: Any, schemas: Sequence[str], field: str) -> None:
    if schema not in schemas:
        listed = ", ".join(schemas) or "none"
        raise Invalid(f'There is no "{shown(schema)}" in the list above it; it has: {listed}.', field=field)
