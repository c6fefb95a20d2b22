"""Builds on this host."""

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from environments.process import Watch
from environments.runtimes.base import RuntimeFailure
from environments.runtimes.local import sandbox

from .apps import FILES, PYTHON
from .make import Maker


def build(
    local: Any, maker: Maker, hook: str, more: str = "", files: dict[str, str] | None = None, **options: Any
) -> tuple[str, Any]:
    indented = hook.replace("\n", "\n    ")
    text = PYTHON + more + f"hooks:\n  build: |\n    {indented}\n"
    spec = maker.build(text, {**FILES, **(files or {})})
    output: list[bytes] = []
    try:
        local.build(spec, Watch(output=output.append, **options))
    finally:
        print(b"".join(output).decode("utf-8", "replace")[-2000:])
    return b"".join(output).decode("utf-8", "replace"), spec


def failure(local: Any, maker: Maker, hook: str, **options: Any) -> RuntimeFailure:
    with pytest.raises(RuntimeFailure) as caught:
        build(local, maker, hook, **options)
    return caught.value


def test_the_hook_writes_into_the_app_and_keeps_a_cache(local: Any, maker: Maker) -> None:
    hook = 'echo built > out.txt; echo cached > "$PLATFORM_CACHE_DIR/c"; echo "in $PWD as $(id -un) home $HOME"'
    said, spec = build(local, maker, hook)
    assert "in /app as web home /app" in said
    assert (spec.tree / "out.txt").read_text() == "built\n"
    said, _ = build(local, maker, 'cat "$PLATFORM_CACHE_DIR/c"')
    assert "cached" in said


def test_the_version_that_is_there_is_used_with_a_warning_that_names_both(local: Any, maker: Maker) -> None:
    spec = maker.build(PYTHON.replace("3.11", "3.9"), FILES)
    output: list[bytes] = []
    local.build(spec, Watch(output=output.append))
    assert b"python 3.9 is not installed on this host: python 3.11 is used instead." in b"".join(output)


def test_mount_points_are_made_before_the_app_is_read_only(local: Any, maker: Maker) -> None:
    _, spec = build(local, maker, "true", more="disk: 256\nmounts: {var/a/b: {source: local}}\n")
    assert (spec.tree / "var" / "a" / "b").is_dir()


def test_a_build_that_puts_a_link_where_a_mount_goes_fails(local: Any, maker: Maker) -> None:
    mounts = "disk: 256\nmounts: {var/a: {source: local}}\n"
    caught = failure(local, maker, "ln -s /tmp var", more=mounts)
    assert caught.error_id == "mount-blocked"


def test_failures_are_sorted(local: Any, maker: Maker) -> None:
    hook = failure(local, maker, "echo why; exit 7")
    assert (hook.error_id, hook.by_user) == ("build-hook-failed", True)
    assert "exit code 7" in hook.message
    assert failure(local, maker, "sleep 60", total=0.6).error_id == "time-limit"
    assert failure(local, maker, "sleep 60", silence=0.6).error_id == "silence-limit"


def test_a_tool_that_is_missing_is_named(local: Any, maker: Maker) -> None:
    spec = maker.build(PYTHON + "dependencies: {python2: {a: '*'}}\n", FILES)
    with pytest.raises(RuntimeFailure, match="python2 is not installed") as caught:
        local.build(spec, Watch(output=lambda _: None))
    assert caught.value.error_id == "build-tool-missing"


def test_a_build_that_fills_the_disk_is_ended(local: Any, maker: Maker) -> None:
    hook = "for n in 1 2 3 4 5 6 7 8; do head -c 100M /dev/zero > big$n; sleep 0.4; done"
    caught = failure(local, maker, hook)
    assert caught.error_id == "build-too-big"
    assert "256 MB" in caught.message


def test_one_huge_or_sparse_file_cannot_be_made(local: Any, maker: Maker) -> None:
    assert failure(local, maker, "truncate -s 100G big").error_id == "build-too-big"


def test_what_a_build_starts_ends_with_it(local: Any, maker: Maker) -> None:
    build(local, maker, "(setsid sleep 66.5 >/dev/null 2>&1 &); sleep 66.5 & echo done")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and subprocess.run(["pgrep", "-f", "sleep 66.5"], capture_output=True).stdout:
        time.sleep(0.05)
    assert not subprocess.run(["pgrep", "-f", "sleep 66.5"], capture_output=True).stdout


def test_ansi_colours_and_long_output_come_through(local: Any, maker: Maker) -> None:
    said, _ = build(local, maker, "printf '\\033[31mred\\033[0m\\n'; head -c 3000000 /dev/zero | tr '\\0' x; echo end")
    assert "\x1b[31mred" in said
    assert said.rstrip().endswith("xend")


def test_memory_has_its_limit(local: Any, maker: Maker) -> None:
    caught = failure(local, maker, "python -c 'x = bytearray(3 * 1024**3); print(len(x))'")
    assert caught.error_id in ("build-hook-failed", "build-memory")


def test_pip_installs_beside_the_app_and_the_app_finds_it(local: Any, maker: Maker) -> None:
    """From a package in the repository itself: no network is needed."""
    package = {
        "lib/pyproject.toml": "[project]\nname = 'little'\nversion = '1'\n",
        "lib/setup.py": "from setuptools import setup\nsetup(name='little', version='1', py_modules=['little'])\n",
        "lib/little.py": "WORD = 'found'\n",
    }
    del package["lib/pyproject.toml"]
    _, spec = build(local, maker, "pip install --no-index --no-build-isolation ./lib", files=package)
    release = maker.release(PYTHON, {})
    program = release.programs[0]
    object.__setattr__(program, "slug", spec.tree)
    output: list[bytes] = []
    assert local.run(release, "app", "python -c 'import little; print(little.WORD)'", Watch(output=output.append)) == 0
    assert b"".join(output) == b"found\n"


def test_builds_leave_nothing_beside_their_tree(local: Any, maker: Maker) -> None:
    _, spec = build(local, maker, "true")
    assert [entry for entry in os.listdir(spec.tree.parent) if entry.startswith(spec.tree.name + ".")] == []


def test_groups_of_builds_whose_worker_was_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "groups", lambda: [tmp_path])
    for name, age in (("b-forgotten", 120), ("b-full", 120), ("b-new", 0), ("e1-r1-a0", 120)):
        (tmp_path / name).mkdir()
        if name == "b-full":
            (tmp_path / name / "inside").mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    sandbox.remove_forgotten_groups()
    assert {path.name for path in tmp_path.iterdir()} == {"b-full", "b-new", "e1-r1-a0"}
