"""Control groups, where the launcher could get some: limits for a whole sandbox, and nothing left behind."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments.process import Watch
from environments.runtimes.base import RuntimeFailure
from environments.runtimes.local import launch
from launcher import cgroups
from launcher.user import run_user

from .apps import FILES, PYTHON
from .make import Maker

QUIET = Watch(output=lambda _: None, total=30)


@pytest.fixture
def tops(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """The groups' folders; none where the tests may not make any: then the same must hold but for the groups."""
    name = f"test-{os.getpid()}"
    group = cgroups.create(name, run_user())
    if group is not None:
        for key, value in group.environ.items():
            monkeypatch.setenv(key, value)
    yield group.folders if group is not None else []
    cgroups.remove(name)


def below(tops: list[Path]) -> list[str]:
    return sorted({path.name for top in tops for path in top.iterdir() if path.is_dir()} - {"portal"})


def test_a_hook_that_takes_too_much_memory_is_told_its_limit(local: Any, maker: Maker, tops: list[Path]) -> None:
    release = maker.release(PYTHON, FILES)
    hungry = "x = bytearray(200 * 1024**2); import time; time.sleep(2)"
    script = f"for n in 1 2 3 4; do python -c '{hungry}' & done; wait; exit 9"
    if tops:
        with pytest.raises(RuntimeFailure) as caught:
            local.run(release, "app", script, QUIET)
        assert caught.value.error_id == "run-memory"
        assert "512 MB" in caught.value.message
    else:
        assert local.run(release, "app", script, QUIET) == 9
    assert below(tops) == []


def test_programs_run_in_groups_of_their_own_which_go_with_them(local: Any, maker: Maker, tops: list[Path]) -> None:
    release = maker.release(PYTHON, FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok
    expected = [f"e{maker.key}-r1-a0", f"e{maker.key}-r1-nginx"] if tops else []
    assert below(tops) == expected
    for top in tops:
        assert (top / f"e{maker.key}-r1-a0" / "cgroup.procs").read_text().strip()
    local.stop(maker.place, 1)
    deadline = time.monotonic() + 2
    while below(tops) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert below(tops) == []


def test_a_build_leaves_no_group(local: Any, maker: Maker, tops: list[Path]) -> None:
    spec = maker.build(PYTHON + 'hooks: {build: "cat /proc/self/cgroup"}\n', FILES)
    output: list[bytes] = []
    local.build(spec, Watch(output=output.append))
    if tops:
        assert b"b-a" in b"".join(output) or b"memory:/" in b"".join(output)
    assert below(tops) == []


def test_a_description_of_an_earlier_start_uses_the_groups_of_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("VERSION", "2"), ("MEMORY", str(tmp_path)), ("PIDS", str(tmp_path))):
        monkeypatch.setenv(f"SLIPWAY_CGROUP_{name}", value)
    gone = ["2", "/nonexistent/slipway-1", "/nonexistent/slipway-1"]
    assert launch._enter_group({"label": "e1-r1-a0", "groups": gone, "memory": 5, "processes": 3})
    assert (tmp_path / "e1-r1-a0" / "memory.max").read_text() == "5"
    assert (tmp_path / "e1-r1-a0" / "pids.max").read_text() == "3"
