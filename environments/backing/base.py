"""The seam to database and cache engines. One module per engine; each is a set of repeatable verbs.

Where things are, `data` and `sockets` being what the caller passes:

    data                       the data directory; whole or absent, never half made
    data.parent/               init.sql, redis.conf, pg_hba.conf and tmp: written again by every `create`
    socket_directory(...)      the service's Unix socket, for the portal's own administration

Paths are the same inside and outside the sandbox. Settings that are no secret ride in the program's arguments, so
that two descriptions of a program can be compared; secrets are in files of mode 0600.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from environments.runtimes.base import Sandbox, ServiceSpec
from portal.errors import Invalid

_SOCKET_PATH_MAX = 107  # bytes, see unix(7)
_SOCKET_NAME_MAX = len("/.s.PGSQL.5432.lock")


class Engine(Protocol):
    name: str  # "mariadb"
    types: Sequence[str]  # names it answers to in services.yaml: ("mariadb", "mysql")
    port: int
    countable: bool  # see Copied

    def versions(self) -> Sequence[str]:
        """Installed versions, oldest first, "10.11"; empty when the engine is not on this host."""
        ...

    def check(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        """Warnings about what is understood but not done. Raises Invalid (its `field` is a dotted key) for the rest."""
        ...

    def endpoints(self, asked: str, configuration: Mapping[str, Any]) -> Sequence[str]:
        """Names of its endpoints, the default one first. `asked` is the type in services.yaml. Raises Invalid."""
        ...

    def new_secrets(self, configuration: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Passwords for everything `configuration` asks for (JSON-serialisable), fresh but for those in `known`."""
        ...

    def prepare(self, version: str) -> None:
        """Make the template that `create` copies, unless it is there: seconds the first time, nothing afterwards."""
        ...

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        """Make the data directory from the template unless it is there, and write what `program` needs to start.

        What a killed `create` left half made is made again.
        """
        ...

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        """What is kept running."""
        ...

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        """Whether it answers a real query now."""
        ...

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        """Bring schemas, users and rights of the running service to what `spec.configuration` says.

        Never takes data away: a schema that is no longer asked for stays, without anybody's access. Raises
        RuntimeFailure when the server refuses.
        """
        ...

    def before_copy(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        """See Copied, also for the next three."""
        ...

    def after_copy(self, spec: ServiceSpec, data: Path) -> None: ...

    def adopt(self, spec: ServiceSpec, data: Path) -> None: ...

    def count(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]: ...

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        """The entry for PLATFORM_RELATIONSHIPS; "" is the default endpoint. Raises Invalid for one it does not have."""
        ...


class Copied:
    """How an engine's data directory is copied while the server stands still: for one that needs nothing, just so.

    `countable` says that `count` works where nothing but the service's Unix socket can be reached.

    The environment's apps stand still first, then `before_copy` may ask the server, then it is held still as well.
    """

    countable: bool = False

    def before_copy(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        """Have it write down what is only in its memory; returns what can be counted at once ("tables": 12)."""
        return {}

    def after_copy(self, spec: ServiceSpec, data: Path) -> None:
        """Take back what `before_copy` did to the data directory. Called in any case, also when nothing was copied."""

    def adopt(self, spec: ServiceSpec, data: Path) -> None:
        """Make a copied data directory, stopped as if by a power cut, this service's own: its administrator's password
        works, and nobody else's does until `configure`. Safe to repeat."""

    def count(self, spec: ServiceSpec, sockets: Path) -> Mapping[str, int]:
        """Read all data of the running service: rows by table, keys by database. Empty where it cannot be counted."""
        return {}


def socket_directory(spec: ServiceSpec, sockets: Path) -> Path:
    """The service's own folder below `sockets`; short, because a Unix socket's path has at most 107 bytes."""
    folder = sockets / f"s-{hashlib.sha256(spec.name.encode()).hexdigest()[:8]}"
    if len(bytes(folder)) + _SOCKET_NAME_MAX > _SOCKET_PATH_MAX:
        raise Invalid(f"{sockets} is too long a path to hold Unix sockets. Use a shorter SLIPWAY_HOME.")
    return folder


def exclusive(data: Path, argv: Sequence[str]) -> list[str]:
    """`argv`, started only while no other process holds the data directory.

    PostgreSQL and Redis look for a second server by process ids and shared memory, which a sandbox hides.
    """
    return ["flock", "--no-fork", "--timeout", "20", str(data), *argv]


def label(spec: ServiceSpec) -> str:
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"e{spec.place.key}-s-{spec.name}")


def entry(
    spec: ServiceSpec,
    relationship: str,
    endpoint: str,
    *,
    scheme: str,
    username: str | None,
    password: str | None,
    path: str | None,
    query: Mapping[str, Any] | Sequence[Any],
) -> dict[str, Any]:
    """One element of PLATFORM_RELATIONSHIPS[relationship], in the shape that existing applications read."""
    host = f"{relationship}.internal"
    return {
        "host": host,
        "hostname": host,
        "ip": spec.address,
        "port": spec.port,
        "scheme": scheme,
        "username": username,
        "password": password,
        "path": path,
        "query": query,
        "fragment": None,
        "rel": endpoint,
        "service": spec.name,
        "cluster": f"{spec.place.project_id}-{spec.place.machine_name}",
        "type": spec.asked,
        "public": False,
        "host_mapped": False,
    }


def pick_endpoint(spec: ServiceSpec, endpoint: str, known: Sequence[str]) -> str:
    """`endpoint`, or the first one for "". Raises Invalid naming those that the service has."""
    if not known:
        raise Invalid(f'The service "{spec.name}" defines no endpoint, so nothing can have a relationship to it.')
    if endpoint and endpoint not in known:
        names = ", ".join(known)
        raise Invalid(f'The service "{spec.name}" has no endpoint "{endpoint[:80]}". It has: {names}.')
    return endpoint or known[0]
