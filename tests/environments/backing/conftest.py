from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.conf import settings

from environments.backing import ENGINES
from environments.backing.base import Engine

from . import servers
from .servers import Server


class MakeServer(Protocol):
    def __call__(self, asked: str, configuration: dict[str, Any] | None = None) -> Server: ...


def engine_named(name: str) -> Engine:
    return next(engine for engine in ENGINES if engine.name == name)


@pytest.fixture(scope="session", autouse=True)
def _templates() -> None:
    settings.HOME.templates.mkdir(exist_ok=True)
    servers.give_away(settings.HOME.templates)


@pytest.fixture(scope="session")
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders for servers: pytest's own are closed to other users and too long for a socket's path."""
    import shutil
    import tempfile

    path = Path(tempfile.mkdtemp(prefix="slipway-b-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make_server(short_path: Path) -> Iterator[MakeServer]:
    """Makes services, not started; those that a test starts are gone after it."""
    made: list[Server] = []

    def make(asked: str, configuration: dict[str, Any] | None = None) -> Server:
        home = short_path / str(sum(1 for _ in short_path.iterdir()))
        home.mkdir()
        engine = next(engine for engine in ENGINES if asked.partition(":")[0] in engine.types)
        made.append(servers.make(engine, asked, home, configuration, key=len(made) + 1))
        return made[-1]

    yield make
    for server in made:
        servers.kill(server)
