"""The whole configuration of one commit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .apps import App
from .documents import Map, locate
from .problems import Place, Problem
from .routes import Route
from .services import Service


@dataclass(frozen=True)
class Manifest:
    """`flavour` says which file names the repository uses. `apps` are in the order of their files."""

    flavour: Literal["platform", "magento"]
    apps: tuple[App, ...]
    services: Mapping[str, Service]
    routes: tuple[Route, ...]
    warnings: tuple[Problem, ...] = ()
    sources: Mapping[tuple[str, str], Map] = field(default_factory=dict, repr=False, compare=False)

    def app(self, name: str) -> App:
        """Raises KeyError when there is no such app."""
        for app in self.apps:
            if app.name == name:
                return app
        raise KeyError(name)

    def place(self, kind: Literal["app", "service", "route"], name: str, path: Sequence[str | int] = ()) -> Place:
        """Where something stands in the files: `place("service", "db", ["type"])`."""
        source = self.sources.get((kind, name))
        if source is None:
            return Place(f".{self.flavour}/{kind}s.yaml", None)
        return locate(source, path).place
