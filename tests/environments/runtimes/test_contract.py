"""What every runtime does, the real ones and the fake: each verb, and each of them twice."""

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from environments.backing import engine_for
from environments.process import Stopped, Watch
from environments.runtimes.base import Entry, RuntimeFailure, ServiceSpec
from tests.environments.backing.servers import free_address

from .apps import FILES, PYTHON
from .make import Maker, drop_to_user


def quiet() -> Watch:
    return Watch(output=lambda _: None)


def test_languages_and_engines_are_named_with_their_versions(runtime: Any) -> None:
    assert all(versions for versions in runtime.languages().values())
    assert "python" in runtime.languages()
    assert all(versions for versions in runtime.engines().values())


def test_preparing_can_be_done_at_any_time(runtime: Any, templates: Path) -> None:
    for _ in range(2):
        runtime.prepare()
    if runtime.name == "local":
        assert any(templates.iterdir())


def test_a_build_leaves_its_result_in_the_tree_and_hands_over_its_output(runtime: Any, maker: Maker) -> None:
    said: list[bytes] = []
    hook = 'hooks: {build: "echo building"}\n'
    spec = maker.build(PYTHON + hook, FILES)
    for _ in range(2):
        runtime.build(spec, Watch(output=said.append))
    assert b"building" in b"".join(said)
    assert (spec.tree / "server.py").exists()


def test_a_failing_build_hook_is_the_users_failure_with_its_exit_code(runtime: Any, maker: Maker) -> None:
    spec = maker.build(PYTHON + 'hooks: {build: "exit 7"}\n', FILES)
    with pytest.raises(RuntimeFailure) as caught:
        runtime.build(spec, quiet())
    assert caught.value.by_user
    assert "7" in caught.value.message


def test_a_build_that_is_told_to_stop_stops(runtime: Any, maker: Maker) -> None:
    spec = maker.build(PYTHON + 'hooks: {build: "sleep 60"}\n', FILES)
    began = time.monotonic()
    with pytest.raises(Stopped):
        runtime.build(spec, Watch(output=lambda _: None, should_stop=lambda: "cancelled"))
    assert time.monotonic() - began < 20


def test_a_release_is_placed_started_probed_and_stopped_each_twice(runtime: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    assert list(runtime.releases(maker.place)) == []
    for _ in range(2):
        runtime.place(release)
        runtime.start(release)
    for _ in range(2):
        probe = runtime.probe(release, timeout=20, watch=quiet())
        assert probe.ok, probe.reason
        assert probe.status == 200
    assert runtime.healthy(release)
    assert list(runtime.releases(maker.place)) == [1]
    assert Path(runtime.front(release)).exists()
    for _ in range(2):
        runtime.stop(maker.place, 1)
    assert list(runtime.releases(maker.place)) == []
    assert not runtime.healthy(release)
    assert not Path(runtime.front(release)).exists()


def test_releases_run_side_by_side_and_end_one_by_one(runtime: Any, maker: Maker) -> None:
    releases = [maker.release(PYTHON, FILES, number=number) for number in (1, 2)]
    for release in releases:
        runtime.place(release)
        runtime.start(release)
        assert runtime.probe(release, timeout=20, watch=quiet()).ok
    assert list(runtime.releases(maker.place)) == [1, 2]
    runtime.stop(maker.place, 1)
    assert list(runtime.releases(maker.place)) == [2]
    assert runtime.healthy(releases[1])


def test_a_script_runs_beside_the_release_and_tells_its_exit_code(runtime: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    runtime.place(release)
    said: list[bytes] = []
    assert runtime.run(release, "app", "echo migrating", Watch(output=said.append)) == 0
    assert b"migrating" in b"".join(said)
    assert runtime.run(release, "app", "exit 3", quiet()) == 3


def enter(runtime: Any, release: Any, entry: Entry, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    inside = runtime.enter(release, "app", entry)
    try:
        return subprocess.run([*drop_to_user(), *inside.argv], input=given, capture_output=True, timeout=30)
    finally:
        for _ in range(2):
            assert runtime.leave(inside) == ""
        assert not inside.description.exists()


def test_a_person_gets_a_program_of_their_own_with_its_streams_apart(runtime: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    runtime.place(release)
    said = enter(runtime, release, Entry(command="echo here\nexit 7"))
    assert (said.returncode, said.stdout, said.stderr) == (7, b"here\n", b"")
    assert enter(runtime, release, Entry(command="cat"), b"over").stdout == b"over"
    assert enter(runtime, release, Entry(), b"echo typed\nexit 3\n").returncode == 3


def test_what_is_entered_can_be_left_without_having_begun(runtime: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    runtime.place(release)
    inside = runtime.enter(release, "app", Entry(command="echo here"))
    assert not any("echo here" in word for word in inside.argv)
    runtime.leave(inside)
    assert not inside.description.exists()
    with pytest.raises(RuntimeFailure):
        runtime.enter(release, "nothing", Entry())


def service(maker: Maker) -> ServiceSpec:
    return ServiceSpec(
        place=maker.place,
        name="cache",
        engine="redis",
        version="7.0",
        asked="redis:7.0",
        address=free_address(6379),
        port=6379,
        secrets=engine_for("redis").new_secrets({}),
        configuration={},
    )


def test_a_service_is_provisioned_and_removed_each_twice(runtime: Any, maker: Maker, settings: Any) -> None:
    settings.HOME = maker.home
    spec = service(maker)
    for _ in range(2):
        runtime.provision(spec, quiet())
    if runtime.name == "local":
        with runtime.connect(spec.place, spec.address, spec.port):
            pass
    for _ in range(2):
        runtime.remove_service(spec)
    with pytest.raises(OSError, match="refused"), runtime.connect(spec.place, spec.address, spec.port):
        pass


def test_removing_an_environment_leaves_nothing_and_can_be_done_again(runtime: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    runtime.place(release)
    runtime.start(release)
    for _ in range(2):
        runtime.remove(maker.place)
    assert list(runtime.releases(maker.place)) == []
    assert not runtime.healthy(release)


def test_what_was_never_there_can_be_stopped_and_removed(runtime: Any, maker: Maker) -> None:
    runtime.stop(maker.place, 9)
    runtime.remove(maker.place)
    assert list(runtime.releases(maker.place)) == []


def test_a_service_is_stopped_with_its_data_and_starts_again_each_twice(
    runtime: Any, maker: Maker, settings: Any
) -> None:
    settings.HOME = maker.home
    spec = service(maker)
    for _ in range(2):
        runtime.provision(spec, quiet())
        assert runtime.answers(spec)
        for _ in range(2):
            runtime.stop_service(spec)
        assert not runtime.answers(spec)
    runtime.remove_service(spec)


def test_a_release_is_asked_once_through_a_door_of_its_own(runtime: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    runtime.place(release)
    runtime.start(release)
    assert runtime.probe(release, timeout=20, watch=quiet()).ok
    host = release.routes[0].host
    found = runtime.gauges.knock(maker.place, 1, host, "/", timeout=5)
    assert (found.ok, found.status) == (True, 200)
    assert maker.place.key in runtime.gauges.usage([maker.place])
    assert runtime.gauges.requests(maker.place, None).count == 0
    runtime.stop(maker.place, 1)
    if runtime.name == "local":
        assert not runtime.gauges.knock(maker.place, 1, host, "/", timeout=5).ok
