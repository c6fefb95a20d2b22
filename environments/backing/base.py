"""The seam to database and cache engines. One module per engine; each is a set of repeatable verbs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from environments.runtimes.base import Sandbox, ServiceSpec


class Engine(Protocol):
    name: str  # "mariadb"
    types: Sequence[str]  # names it answers to in services.yaml: ("mariadb", "mysql")
    port: int

    def versions(self) -> Sequence[str]:
        """Installed versions, "10.11"; empty when the engine is not on this host."""
        ...

    def new_secrets(self, configuration: Mapping[str, Any]) -> dict[str, Any]:
        """Fresh passwords for everything `configuration` asks for (JSON-serialisable)."""
        ...

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        """Make the data directory from a prepared template unless it is there; half-made ones are made again."""
        ...

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        """What is kept running."""
        ...

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        """Whether it answers a real query now."""
        ...

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        """Bring schemas, users and rights of the running service to what `spec.configuration` says."""
        ...

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        """The entry for PLATFORM_RELATIONSHIPS. Raises Invalid for an endpoint it does not have."""
        ...
