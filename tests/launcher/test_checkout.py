import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import checkout, home
from launcher.home import Layout
from launcher.user import RunUser


@pytest.fixture
def code() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="slipway-code-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("manage.py", "launcher/cli.py", "var/secret", ".git-not"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("/var\n")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def theirs(nobody: RunUser) -> Iterator[Layout]:
    folder = Path(tempfile.mkdtemp(prefix="slipway-home-", dir="/tmp"))
    folder.chmod(0o755)
    yield home.settle(folder, nobody)
    shutil.rmtree(folder)


def test_files_are_those_that_git_would_take(code: Path) -> None:
    subprocess.run(["git", "init", "-q", str(code)], check=True)
    subprocess.run(["git", "-C", str(code), "add", "manage.py"], check=True)
    os.chown(code, 65534, 65534)
    assert checkout.list_files(code) == [".git-not", ".gitignore", "launcher/cli.py", "manage.py"]


def test_files_without_git_are_all_but_state(code: Path) -> None:
    assert checkout.list_files(code) == [".git-not", ".gitignore", "launcher/cli.py", "manage.py"]


def test_readable_checkout_is_run_in_place(code: Path, theirs: Layout, nobody: RunUser) -> None:
    assert checkout.place(code, theirs, nobody) == code
    assert not theirs.app.exists()


def test_own_checkout_is_run_in_place(code: Path, layout: Layout, me: RunUser) -> None:
    code.chmod(0o700)
    assert checkout.place(code, layout, me) == code


@pytest.mark.parametrize("hidden", [".", "launcher", "launcher/cli.py"])
def test_unreadable_checkout_is_copied(code: Path, theirs: Layout, nobody: RunUser, hidden: str) -> None:
    (code / hidden).chmod(0o700)
    assert checkout.place(code, theirs, nobody) == theirs.app
    assert nobody.can("-r", theirs.app / "launcher" / "cli.py")
    assert (theirs.app / "manage.py").stat().st_uid == nobody.uid
    assert not (theirs.app / "var").exists()


def test_copy_is_refreshed_only_when_something_changed(code: Path, theirs: Layout, nobody: RunUser) -> None:
    code.chmod(0o700)
    checkout.place(code, theirs, nobody)
    (theirs.app / "mark").write_text("")
    checkout.place(code, theirs, nobody)
    assert (theirs.app / "mark").exists()
    (code / "manage.py").write_text("changed")
    checkout.place(code, theirs, nobody)
    assert (theirs.app / "manage.py").read_text() == "changed"
    assert not (theirs.app / "mark").exists()
    (code / "launcher" / "cli.py").unlink()
    checkout.place(code, theirs, nobody)
    assert not (theirs.app / "launcher" / "cli.py").exists()
