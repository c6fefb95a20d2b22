import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.paths import Home
from tests.deployments.engine import Engine


@pytest.fixture
def fake_home(settings: Any) -> Iterator[Home]:
    """A home of its own on the fake runtime. Short, for Unix sockets lie in it."""
    root = Path(tempfile.mkdtemp(prefix="sw-"))
    settings.SLIPWAY_HOME = root
    settings.HOME = Home(root)
    settings.RUNTIME = "fake"
    settings.REDIS_URL = f"unix://{root}/none.sock"
    yield settings.HOME
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def engine(fake_home: Home, tmp_path: Path, transactional_db: None) -> Engine:
    return Engine(tmp_path)


@pytest.fixture
def stored(settings: Any, fake_home: Home) -> Path:
    """Where backups are stored."""
    options = {"location": fake_home.backups, "base_url": None}
    settings.STORAGES = settings.STORAGES | {
        "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    }
    return Path(fake_home.backups)
