import os
from pathlib import Path

import pytest

from launcher.home import Layout
from launcher.user import RunUser


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    home = tmp_path / "home"
    home.mkdir()
    found = Layout(home, home)
    found.make()
    return found


@pytest.fixture
def me() -> RunUser:
    return RunUser("me", os.geteuid(), os.getegid(), drop=False)


@pytest.fixture
def nobody() -> RunUser:
    """Someone else to drop to; only root can."""
    return RunUser("nobody", 65534, 65534, drop=True)
