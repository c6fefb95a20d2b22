import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import home, stopping
from launcher.errors import Refused
from launcher.home import Layout
from launcher.user import RunUser
from portal.paths import Home


@pytest.fixture
def open_tmp() -> Iterator[Path]:
    """A folder that every user reaches, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-launcher-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_paths_are_those_of_the_portal() -> None:
    ours, theirs = Layout(Path("/h"), Path("/h")), Home(Path("/h"))
    for name in (
        *("database", "secrets", "run", "logs", "supervisor_socket", "supervisor_programs", "redis_socket"),
        *("web_socket", "hook_socket", "ssh_host_key", "edge", "static", "certificates", "edge_token"),
    ):
        assert getattr(ours, name) == getattr(theirs, name), name


def test_home_is_var_beside_the_code_unless_said_otherwise(tmp_path: Path) -> None:
    assert home.requested_home({}, tmp_path) == tmp_path / "var"
    assert home.requested_home({"SLIPWAY_HOME": ""}, tmp_path) == tmp_path / "var"
    assert home.requested_home({"SLIPWAY_HOME": "/x/../y"}, tmp_path) == Path("/y")


def test_home_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="line break"):
        home.requested_home({"SLIPWAY_HOME": "/a\nb"}, tmp_path)


def test_settle_creates_the_home(tmp_path: Path, me: RunUser) -> None:
    layout = home.settle(tmp_path / "deep" / "home", me)
    home.forget_short_name(layout)  # the tests' own folder may be long enough for one
    assert layout.real.is_dir()
    assert layout.real == tmp_path / "deep" / "home"


def test_long_or_strange_home_gets_a_short_plain_name(tmp_path: Path, me: RunUser) -> None:
    requested = tmp_path / ("a long name with spaces " * 3)
    layout = home.settle(requested, me)
    try:
        assert len(str(layout.root)) <= home.LONGEST_HOME
        assert home.PLAIN_PATH.match(str(layout.root))
        assert layout.root.readlink() == requested
        layout.make()
        assert home.locate(requested) == layout
        assert home.settle(requested, me) == layout
    finally:
        home.forget_short_name(layout)
    assert not layout.root.exists()
    assert home.locate(requested).root == requested


def test_short_name_that_is_someone_elses_is_refused(tmp_path: Path, me: RunUser) -> None:
    requested = tmp_path / ("long" * 20)
    layout = home.settle(requested, me)
    try:
        layout.root.unlink()
        layout.root.mkdir()
        with pytest.raises(Refused, match="remove it"):
            home.settle(requested, me)
    finally:
        layout.root.rmdir()


def test_home_that_is_a_file_is_refused(tmp_path: Path, me: RunUser) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="not a folder"):
        home.settle(tmp_path / "file", me)


def test_locate_says_when_nothing_was_started(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"begin with \./slipway up"):
        home.locate(tmp_path)


def test_unreachable_home_moves_and_leaves_a_link(open_tmp: Path, nobody: RunUser) -> None:
    _needs_root()
    private = open_tmp / "private"
    private.mkdir(mode=0o700)
    layout = home.settle(private / "var", nobody, relocated=open_tmp / "lib")
    assert layout.real.parent == open_tmp / "lib"
    assert (private / "var").readlink() == layout.real
    assert layout.real.stat().st_uid == nobody.uid
    assert nobody.can("-w", layout.real)
    assert home.settle(private / "var", nobody, relocated=open_tmp / "lib") == layout


def test_unreachable_home_with_files_is_refused_and_kept(open_tmp: Path, nobody: RunUser) -> None:
    _needs_root()
    private = open_tmp / "private"
    (private / "var").mkdir(parents=True)
    private.chmod(0o700)
    (private / "var" / "precious").write_text("data")
    with pytest.raises(Refused, match="holds files"):
        home.settle(private / "var", nobody, relocated=open_tmp / "lib")
    assert (private / "var" / "precious").read_text() == "data"


def test_home_of_another_user_is_refused_by_name(open_tmp: Path, nobody: RunUser) -> None:
    _needs_root()
    (open_tmp / "file").write_text("")
    os.chown(open_tmp, 1, 1)
    with pytest.raises(Refused, match="belongs to daemon"):
        home.settle(open_tmp, nobody)


def test_empty_home_of_root_is_given_to_the_user(open_tmp: Path, nobody: RunUser) -> None:
    _needs_root()
    home.settle(open_tmp, nobody)
    assert open_tmp.stat().st_uid == nobody.uid


def test_second_start_in_one_home_waits_for_nobody_and_says_so(layout: Layout) -> None:
    with home.lock(layout), pytest.raises(Refused, match="starting or stopping"), home.lock(layout):
        pass


def test_lock_is_free_again_afterwards(layout: Layout) -> None:
    for _ in range(2):
        with home.lock(layout):
            pass


def test_settings_are_remembered_in_a_private_file(layout: Layout) -> None:
    home.remember(layout, {"SLIPWAY_PORT": "8001", "DATABASE_URL": "postgres://u:secret@h/d"})
    assert home.remembered(layout)["SLIPWAY_PORT"] == "8001"
    assert layout.memory.stat().st_mode & 0o777 == 0o600


def test_damaged_memory_is_named(layout: Layout) -> None:
    layout.memory.write_text("{")
    with pytest.raises(Refused, match=r"environment\.json is damaged"):
        home.remembered(layout)


def test_full_disk_is_refused_with_the_free_space(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "LEAST_FREE", 1 << 60)
    with pytest.raises(Refused, match=r"is full: \d+ MB are free"):
        home.check_space(layout)


def _needs_root() -> None:
    assert os.geteuid() == 0, "these tests are run by root, as CI does"


def test_a_start_of_the_instance_counts_as_no_restart(tmp_path: Path) -> None:
    place = Home(tmp_path).environment("p", "e")
    counts = [place / "services" / "db.starts", place / "run" / "3" / "a0.starts"]
    kept = place / "run" / "3" / "a0.json"
    for file in (*counts, kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(".")
    stopping.forget_starts(Layout(tmp_path, tmp_path))
    assert [file for file in (*counts, kept) if file.exists()] == [kept]
