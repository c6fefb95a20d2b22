"""services.yaml: the databases and caches of an environment."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from .base import Model
from .catalog import SERVICES, ServiceType
from .parts import Access, Firewall, RelationshipSpec, Resources
from .problems import did_you_mean, shown
from .values import ContainerSize, DiskSize, Json, RelationshipName, describe, wrong

_DATABASES = ("mariadb", "mariadb-replica", "oracle-mysql")


@dataclass(frozen=True)
class Endpoint:
    """What an app connects to. `path` is the database or core it gets, `privileges` what it may do in which one."""

    name: str
    scheme: str
    port: int
    path: str | None = None
    privileges: dict[str, str] = field(default_factory=dict)


def split_type(value: str) -> tuple[str, str]:
    name, _, version = value.partition(":")
    return name, version


def _service_type(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"{describe(value)} is not the type of a service.", 'a type and a version, such as "mariadb:10.11"')
    name, version = split_type(value)
    if name not in SERVICES:
        raise wrong(f'There is no service type "{shown(name)}".{did_you_mean(name, SERVICES)}', ", ".join(SERVICES))
    if not version or not all(c.isalnum() or c in ".-" for c in version) or len(version) > 20:
        raise wrong(f'"{shown(value)}" lacks a usable version.', f'such as "{name}:1.0"')
    return value


class Service(Model):
    """`disk` is in MB. The checks of `configuration` are in `configurations`."""

    name: str = ""
    type: Annotated[str, BeforeValidator(_service_type)]
    size: ContainerSize = "AUTO"
    disk: DiskSize | None = None
    configuration: dict[str, Json] = Field(default_factory=dict)
    relationships: dict[RelationshipName, RelationshipSpec] = Field(default_factory=dict)
    access: Access = Access()
    firewall: Firewall | None = None
    resources: Resources | None = None

    @property
    def type_name(self) -> str:
        """As asked for: `mysql`."""
        return split_type(self.type)[0]

    @property
    def engine(self) -> str:
        """What is started for it: `mariadb`."""
        return self.kind.engine

    @property
    def version(self) -> str:
        return split_type(self.type)[1]

    @property
    def kind(self) -> ServiceType:
        return SERVICES[self.type_name]

    def schemas(self) -> tuple[str, ...]:
        """The databases of a database service, the cores of Solr; empty for others."""
        if self.engine == "solr":
            return tuple(self.configuration.get("cores", {}))
        key = "databases" if self.engine == "postgresql" else "schemas"
        if self.engine not in (*_DATABASES, "postgresql"):
            return ()
        return tuple(self.configuration[key]) if self._configured(key) else ("main",)

    def endpoints(self) -> dict[str, Endpoint]:
        """By name. Naming schemas or endpoints in `configuration` switches all defaults off."""
        kind = self.kind
        if self.engine in _DATABASES:
            return self._database_endpoints("schemas", "default_schema")
        if self.engine == "postgresql":
            return self._database_endpoints("databases", "default_database")
        configured = self.configuration.get("endpoints")
        if configured:
            cores = {name: (options or {}).get("core") for name, options in configured.items()}
            return {name: Endpoint(name, kind.scheme, kind.port, core) for name, core in cores.items()}
        names = (kind.endpoint, *kind.more_endpoints) if kind.endpoint else ()
        return {name: Endpoint(name, kind.scheme, kind.port) for name in names}

    def default_endpoint(self) -> str | None:
        endpoints = self.endpoints()
        if self.kind.endpoint in endpoints:
            return self.kind.endpoint
        return next(iter(endpoints)) if len(endpoints) == 1 else None

    def _configured(self, schemas_key: str) -> bool:
        return bool(self.configuration.get(schemas_key) or self.configuration.get("endpoints"))

    def _database_endpoints(self, schemas_key: str, default_key: str) -> dict[str, Endpoint]:
        kind = self.kind
        if not self._configured(schemas_key):
            name = kind.endpoint or ""
            return {name: Endpoint(name, kind.scheme, kind.port, "main", {"main": "admin"})}
        found: dict[str, Endpoint] = {}
        for name, options in self.configuration.get("endpoints", {}).items():
            privileges = dict((options or {}).get("privileges") or {})
            path = (options or {}).get(default_key) or next(iter(privileges), None)
            found[name] = Endpoint(name, kind.scheme, kind.port, path, privileges)
        return found
