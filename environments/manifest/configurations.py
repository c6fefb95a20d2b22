"""What may stand in the `configuration` of a service, per engine. Engines not named here take anything."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from .base import Model
from .problems import quoted
from .values import Json, Line, Lines, Truth, named, one_of, wrong

_SCHEMA = named(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", "letters, digits, _ and -, up to 63")
_ENDPOINT = named(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", "letters, digits, _ and -, up to 63")
REDIS_POLICIES = (
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
)
Schema = Annotated[str, _SCHEMA]
EndpointName = Annotated[str, _ENDPOINT]
Privilege = Annotated[str, one_of("admin", "rw", "ro", "replication", "replication-admin")]


class MySQLEndpoint(Model):
    default_schema: Schema | None = None
    privileges: dict[Schema, Privilege] = Field(default_factory=dict)


class MySQL(Model):
    schemas: tuple[Schema, ...] = ()
    endpoints: dict[EndpointName, MySQLEndpoint] = Field(default_factory=dict)
    properties: dict[Line, Json] = Field(default_factory=dict)
    rotate_passwords: Truth = True

    @model_validator(mode="after")
    def _known_schemas(self) -> Self:
        for name, endpoint in self.endpoints.items():
            _check_schemas(name, {*endpoint.privileges, endpoint.default_schema}, self.schemas, "schemas")
        return self


class PostgreSQLEndpoint(Model):
    default_database: Schema | None = None
    privileges: dict[Schema, Privilege] = Field(default_factory=dict)


class PostgreSQL(Model):
    databases: tuple[Schema, ...] = ()
    endpoints: dict[EndpointName, PostgreSQLEndpoint] = Field(default_factory=dict)
    extensions: Lines = ()
    properties: dict[Line, Json] = Field(default_factory=dict)
    rotate_passwords: Truth = True

    @model_validator(mode="after")
    def _known_databases(self) -> Self:
        for name, endpoint in self.endpoints.items():
            _check_schemas(name, {*endpoint.privileges, endpoint.default_database}, self.databases, "databases")
        return self


class Redis(Model):
    maxmemory_policy: Annotated[str, one_of(*REDIS_POLICIES)] = "allkeys-lru"


class VirtualHosts(Model):
    vhosts: tuple[EndpointName, ...] = ()
    endpoints: dict[EndpointName, Json] = Field(default_factory=dict)


class SolrEndpoint(Model):
    core: Schema


class Solr(Model):
    cores: dict[Schema, Json] = Field(default_factory=dict)
    configsets: dict[Schema, Json] = Field(default_factory=dict)
    endpoints: dict[EndpointName, SolrEndpoint] = Field(default_factory=dict)
    conf_dir: Json = None
    core_config: Json = None
    core_properties: Json = None

    @model_validator(mode="after")
    def _known_cores(self) -> Self:
        for name, endpoint in self.endpoints.items():
            _check_schemas(name, {endpoint.core}, tuple(self.cores), "cores")
        return self


class Authentication(Model):
    enabled: Truth = False


class Search(Model):
    plugins: Lines = ()
    authentication: Authentication = Authentication()


class Varnish(Model):
    vcl: str


CONFIGURATIONS: dict[str, type[Model]] = {
    "mariadb": MySQL,
    "mariadb-replica": MySQL,
    "oracle-mysql": MySQL,
    "postgresql": PostgreSQL,
    "redis": Redis,
    "valkey": Redis,
    "rabbitmq": VirtualHosts,
    "solr": Solr,
    "opensearch": Search,
    "elasticsearch": Search,
    "elasticsearch-enterprise": Search,
    "varnish": Varnish,
}


def _check_schemas(endpoint: str, used: set[str | None], known: tuple[str, ...], key: str) -> None:
    if unknown := sorted({name for name in used if name} - set(known)):
        message = f"The endpoint {quoted(endpoint)} uses {quoted(unknown[0])}, which {key} does not list."
        raise wrong(message, ", ".join(known) or f"a {key}: that names it")
