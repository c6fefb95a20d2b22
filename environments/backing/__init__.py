"""The engines that this version of Slipway knows; which of them a host has is asked each time."""

from collections.abc import Mapping, Sequence

from environments.backing.base import Engine
from environments.backing.mariadb import MariaDB
from environments.backing.memcached import Memcached
from environments.backing.postgresql import PostgreSQL
from environments.backing.rabbitmq import RabbitMQ
from environments.backing.redis import Redis
from portal.errors import Invalid

ENGINES: Sequence[Engine] = (MariaDB(), PostgreSQL(), Redis(), RabbitMQ(), Memcached())
OPEN = frozenset({"memcached"})  # types without a password: only for environments with a network of their own


def engine_for(type: str) -> Engine:
    """The engine for a type in services.yaml, "mysql" or "mysql:10.4". Raises Invalid naming what this host has."""
    name = type.partition(":")[0]
    for engine in ENGINES:
        if name in engine.types and engine.versions():
            return engine
    have = ", ".join(sorted(installed())) or "none"
    raise Invalid(f'There is no service of type "{type[:60]}" here. Available: {have}.', field="type")


def installed() -> Mapping[str, Sequence[str]]:
    """Installed versions by service type, aliases included: {"mariadb": ["10.11"], "mysql": ["10.11"], ...}."""
    return {name: engine.versions() for engine in ENGINES if engine.versions() for name in engine.types}


def prepare() -> None:
    """Make every template now, so that the first service of a kind does not wait for it (some seconds each)."""
    for engine in ENGINES:
        for version in engine.versions():
            engine.prepare(version)
