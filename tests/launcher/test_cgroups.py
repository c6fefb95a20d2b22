from pathlib import Path

import pytest

from launcher import cgroups
from launcher.user import RunUser


@pytest.fixture
def root_user(monkeypatch: pytest.MonkeyPatch) -> RunUser:
    monkeypatch.setattr(cgroups.os, "chown", lambda *arguments: None)
    return RunUser("slipway", 990, 990, drop=True)


def v1(root: Path) -> None:
    for controller in ("memory", "pids"):
        (root / controller / "own").mkdir(parents=True)
        (root / controller / "cgroup.procs").write_text("")


V1 = "8:pids:/\n4:memory,misc:/own\n1:name=systemd:/x\n0::/\n"


def test_v1_has_one_group_per_controller_below_the_launchers_own(tmp_path: Path, root_user: RunUser) -> None:
    v1(tmp_path)
    group = cgroups.create("i", root_user, root=tmp_path, own=V1)
    assert group == cgroups.Group(1, tmp_path / "memory/own/slipway-i", tmp_path / "pids/slipway-i")
    assert (group.memory / "portal").is_dir()
    assert group.environ["SLIPWAY_CGROUP_VERSION"] == "1"
    assert set(cgroups.find("i", root=tmp_path)) == {group.memory, group.pids}


def test_v1_inside_a_container_uses_the_top_of_the_mount(tmp_path: Path, root_user: RunUser) -> None:
    v1(tmp_path)
    group = cgroups.create("i", root_user, root=tmp_path, own=V1.replace("/own", "/docker/abc"))
    assert group
    assert group.memory == tmp_path / "memory/slipway-i"


def test_v2_is_one_group_with_its_controllers_handed_down(tmp_path: Path, root_user: RunUser) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory pids cpu\n")
    (tmp_path / "slipway-i").mkdir()
    (tmp_path / "slipway-i" / "cgroup.subtree_control").write_text("")
    group = cgroups.create("i", root_user, root=tmp_path, own="0::/\n")
    assert group == cgroups.Group(2, tmp_path / "slipway-i", tmp_path / "slipway-i")
    assert (group.memory / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert group.environ["SLIPWAY_CGROUP_MEMORY"] == group.environ["SLIPWAY_CGROUP_PIDS"]


def test_machine_that_allows_no_group_starts_without(tmp_path: Path, root_user: RunUser) -> None:
    assert cgroups.create("i", root_user, root=tmp_path, own=V1) is None
    (tmp_path / "cgroup.controllers").write_text("")
    assert cgroups.create("i", root_user, root=tmp_path, own="0::/\n") is None


def test_only_root_makes_groups(tmp_path: Path, me: RunUser) -> None:
    v1(tmp_path)
    assert cgroups.create("i", me, root=tmp_path, own=V1) is None
