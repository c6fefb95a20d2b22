import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from environments.runtimes.fake import FakeRuntime
from environments.runtimes.local import Limits, LocalRuntime
from portal.paths import Home
from tests.environments.backing.servers import give_away, unprivileged

from .make import Dropped, Maker, Portal, settle_network, start_supervisor, stop_supervisor

_keys = itertools.count(1)
LIMITS = Limits(app_memory=512 * 1024**2, build_memory=1024**3, build_disk=256 * 1024**2, start_timeout=20)


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """A short path: Unix sockets lie below it."""
    root = Path(tempfile.mkdtemp(prefix="slipway-r-"))
    give_away(root)
    for name in ("slugs", "builds", "caches", "sockets", "environments"):
        (root / name).mkdir()
        give_away(root / name)
    home = Home(root)
    home.run.mkdir()
    settle_network(home)
    process = start_supervisor(home)
    yield home
    alive = process.poll() is None
    stop_supervisor(process)
    assert alive, (home.logs / "supervisord.log").read_text()[-4000:]
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def local(home: Home) -> Any:
    return Dropped(LocalRuntime(home, LIMITS))


@pytest.fixture(scope="session")
def templates() -> Path:
    """Where engines keep what they copy data directories from."""
    folder = settings.HOME.templates
    folder.mkdir(parents=True, exist_ok=True)
    return give_away(folder)


@pytest.fixture(params=["local", "fake"])
def runtime(request: pytest.FixtureRequest, home: Home) -> Any:
    if request.param == "local":
        return request.getfixturevalue("local")
    return Dropped(FakeRuntime(home))


@pytest.fixture
def maker(home: Home, local: Any) -> Iterator[Maker]:
    maker = Maker(home, next(_keys))
    yield maker
    unprivileged(LocalRuntime(home, LIMITS).remove, maker.place)
    unprivileged(FakeRuntime(home).remove, maker.place)


@pytest.fixture
def portal(home: Home) -> Iterator[Portal]:
    portal = Portal(home.web_socket)
    yield portal
    portal.close()
