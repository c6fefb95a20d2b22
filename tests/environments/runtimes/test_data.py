"""All data of an environment as one: copied at an instant, taken in elsewhere, given back, counted."""

import contextlib
import os
import random
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from environments.backing import engine_for
from environments.process import Stopped, Watch
from environments.runtimes.base import Place, RuntimeFailure, ServiceSpec
from environments.runtimes.local import LocalRuntime, guard
from environments.runtimes.local.layout import Layout
from portal.paths import Home
from tests.environments.backing.clients import REFUSED, connect
from tests.environments.backing.servers import free_address, give_away, unprivileged

from .apps import FILES, PYTHON
from .conftest import LIMITS
from .make import Maker

ASKED = {"db": "mysql:10.4", "pg": "postgresql:15", "cache": "redis:7.0", "queue": "redis-persistent:7.0"}


def quiet(**options: Any) -> Watch:
    return Watch(output=lambda _: None, **options)


def spec_of(place: Place, name: str) -> ServiceSpec:
    engine = engine_for(ASKED[name])
    return ServiceSpec(
        place=place,
        name=name,
        engine=engine.name,
        version=engine.versions()[-1],
        asked=ASKED[name],
        address=free_address(engine.port),
        port=engine.port,
        secrets=engine.new_secrets({}),
        configuration={},
    )


def entry(spec: ServiceSpec) -> dict[str, Any]:
    return engine_for(spec.asked).relationship(spec, "database", "")


@contextlib.contextmanager
def inside(local: Any, spec: ServiceSpec, **other: Any) -> Iterator[Any]:
    """A client that comes from inside the environment: its network may be its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        threading.Thread(target=_forward, args=(local, spec, server), daemon=True).start()
        reached = {"ip": "127.0.0.1", "port": server.getsockname()[1]}
        with connect(entry(spec) | reached, **other) as client:
            yield client


def _forward(local: Any, spec: ServiceSpec, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        ours, _ = server.accept()
        theirs = local.connect(spec.place, spec.address, spec.port)
        for one, other in ((ours, theirs), (theirs, ours)):
            threading.Thread(target=_pump, args=(one, other), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        source.settimeout(None)
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def write(local: Any, spec: ServiceSpec, text: str) -> None:
    with inside(local, spec) as client:
        client.write(text)


def read(local: Any, spec: ServiceSpec) -> Any:
    with inside(local, spec) as client:
        return client.read()


@pytest.fixture
def second(home: Home) -> Iterator[Place]:
    place = Place("projectid0000", f"other-{random.randint(1, 10**6)}", random.randint(10**6, 10**8))
    yield place
    unprivileged(LocalRuntime(home, LIMITS).remove, place)


@pytest.fixture
def homed(maker: Maker, settings: Any, templates: Path) -> Home:
    """Engines find their templates, which are made once for all tests; scratch services need a short path."""
    made = settings.HOME.templates
    settings.HOME = maker.home
    if not maker.home.templates.exists():
        maker.home.templates.symlink_to(made)
    for folder in ("scratch", "snapshots", "trash"):
        (maker.home.root / folder).mkdir(exist_ok=True)
        give_away(maker.home.root / folder)
    return maker.home


@pytest.mark.parametrize("name", list(ASKED))
def test_a_copy_of_a_running_service_is_another_environments_own(
    name: str, local: Any, maker: Maker, second: Place, homed: Home
) -> None:
    mine = spec_of(maker.place, name)
    local.provision(mine, quiet())
    write(local, mine, "copied")
    taken = local.snapshot(maker.place, [mine], local.incoming(second), quiet())
    assert 0 < taken.held < 20
    write(local, mine, "later")
    theirs = spec_of(second, name)
    for _ in range(2):
        local.take_in(second, [theirs])
    local.provision(theirs, quiet())
    assert read(local, theirs) == "copied"
    assert read(local, mine) == "later"
    for other, password in ((mine, entry(theirs)["password"]), (theirs, entry(mine)["password"])):
        with pytest.raises(REFUSED), inside(local, other, password=password):
            pass
    local.discard_aside(second)
    assert not local.keeps_aside(second)


@pytest.mark.parametrize("name", ["db", "pg", "cache"])
def test_a_throw_away_service_counts_a_copy_and_nothing_of_it_is_left(
    name: str, local: Any, maker: Maker, homed: Home
) -> None:
    spec = spec_of(maker.place, name)
    local.provision(spec, quiet())
    write(local, spec, "one")
    folder = homed.snapshot("counted")
    taken = local.snapshot(maker.place, [spec], folder, quiet())
    assert taken.counts[name] == ({} if name == "cache" else {"tables": 1})
    stranger = replace(spec, secrets=engine_for(spec.asked).new_secrets({}))
    counts = local.count(stranger, folder / "services" / name, quiet())
    assert sum(counts.values()) == 1, counts
    assert list((homed.root / "scratch").iterdir()) == []


def test_a_cache_that_forgets_does_not_come_back_with_old_contents(local: Any, maker: Maker, homed: Home) -> None:
    spec = spec_of(maker.place, "cache")
    local.provision(spec, quiet())
    write(local, spec, "x")
    local.snapshot(maker.place, [spec], homed.snapshot("cache"), quiet())
    assert (homed.snapshot("cache") / "services" / "cache" / "dump.rdb").exists()
    assert not (Layout(homed, maker.place).services / "cache" / "data" / "dump.rdb").exists()


def test_mounts_and_services_are_of_one_instant_and_clients_only_wait(local: Any, maker: Maker, homed: Home) -> None:
    """A writer that counts in a database and in a mount never shows more in one than the other had a moment before."""
    spec = spec_of(maker.place, "db")
    local.provision(spec, quiet())
    write(local, spec, "0")
    ended, errors, written = threading.Event(), [], []

    def keep_writing() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            try:
                write(local, spec, str(number))
                written.append(number)
            except Exception as error:
                errors.append(error)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        for turn in range(3):
            local.snapshot(maker.place, [spec], homed.snapshot(f"turn{turn}"), quiet())
            before = len(written)
            deadline = time.monotonic() + 10
            while len(written) == before and time.monotonic() < deadline:
                time.sleep(0.01)
            assert len(written) > before, "the service does not go on"
    finally:
        ended.set()
        writer.join()
    assert not errors


def test_programs_of_the_environment_stand_still_and_those_of_others_do_not(
    local: Any, maker: Maker, homed: Home
) -> None:
    release = maker.release(PYTHON + "disk: 128\nmounts: {var: {source: local, source_path: var}}\n", FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=quiet()).ok
    layout = Layout(homed, maker.place)

    def look() -> list[bool]:
        area = guard.Area(str(layout.folder))
        found = [each for each in guard.own() if area.writes(str(each[0]), set())]
        return [guard._stands(each) for each in found]

    def hold() -> tuple[list[bool], list[bool], bool]:
        from environments.runtimes.local import freezing

        with freezing.held(layout, limit=30) as held:
            held.hold()
            held.check()
            during = look()
        return during, look(), held.seconds > 0

    during, after, timed = unprivileged(hold)
    assert during, "nothing of the environment was found"
    assert all(during)
    assert not any(after)
    assert timed


def test_a_killed_worker_leaves_nothing_standing(local: Any, maker: Maker, homed: Home) -> None:
    spec = spec_of(maker.place, "db")
    local.provision(spec, quiet())
    layout = Layout(homed, maker.place)

    def die_holding() -> None:
        from environments.runtimes.local import freezing

        with freezing.held(layout, limit=60) as held:
            held.hold()
            os.kill(os.getpid(), signal.SIGKILL)

    with contextlib.suppress(EOFError):
        unprivileged(die_holding)
    assert _soon(lambda: unprivileged(engine_for(spec.asked).ready, spec, layout.sockets))
    assert _soon(lambda: not (layout.folder / "held").exists())


def test_what_a_killed_guard_left_standing_is_let_go(local: Any, maker: Maker, homed: Home) -> None:
    spec = spec_of(maker.place, "db")
    local.provision(spec, quiet())
    layout = Layout(homed, maker.place)
    assert not local.left_standing(maker.place)

    def kill_the_guard() -> None:
        from environments.runtimes.local import freezing

        with freezing.held(layout, limit=60) as held:
            held.hold()
            os.kill(held._companion._process.pid, signal.SIGKILL)
            held._companion._process.wait()
            os.kill(os.getpid(), signal.SIGKILL)

    with contextlib.suppress(EOFError):
        unprivileged(kill_the_guard)
    assert local.left_standing(maker.place)
    assert local.release_held(maker.place)
    assert not local.release_held(maker.place)
    assert _soon(lambda: unprivileged(engine_for(spec.asked).ready, spec, layout.sockets))


def test_what_stands_too_long_goes_on_and_the_copy_is_refused(local: Any, maker: Maker, homed: Home) -> None:
    spec = spec_of(maker.place, "queue")
    local.provision(spec, quiet())
    layout = Layout(homed, maker.place)

    def hold() -> str:
        from environments.runtimes.local import freezing

        with freezing.held(layout, limit=0.3) as held:
            held.hold()
            time.sleep(1)
            try:
                held.check()
            except RuntimeFailure as error:
                return error.message
        return ""

    assert "took too long" in unprivileged(hold)
    assert _soon(lambda: unprivileged(engine_for(spec.asked).ready, spec, layout.sockets))


def test_a_cancelled_copy_lets_go_and_leaves_nothing(local: Any, maker: Maker, homed: Home) -> None:
    spec = spec_of(maker.place, "db")
    local.provision(spec, quiet())
    into = homed.snapshot("cancelled")
    with pytest.raises(Stopped):
        local.snapshot(maker.place, [spec], into, quiet(should_stop=lambda: "cancelled"))
    assert not into.exists()
    assert not into.with_name("cancelled.new").exists()
    assert unprivileged(engine_for(spec.asked).ready, spec, Layout(homed, maker.place).sockets)


def test_given_back_the_old_data_serves_again(local: Any, maker: Maker, second: Place, homed: Home) -> None:
    mine, theirs = spec_of(maker.place, "db"), spec_of(second, "db")
    for spec in (mine, theirs):
        local.provision(spec, quiet())
    write(local, mine, "restored")
    write(local, theirs, "old")
    local.snapshot(maker.place, [mine], local.incoming(second), quiet())
    local.take_in(second, [theirs])
    local.provision(theirs, quiet())
    assert read(local, theirs) == "restored"
    assert local.keeps_aside(second)
    for _ in range(2):
        local.give_back(second, [theirs])
    local.provision(theirs, quiet())
    assert read(local, theirs) == "old"
    assert not local.keeps_aside(second)


@pytest.mark.parametrize("part", ["services", "mounts"])
def test_every_runtime_copies_takes_in_and_gives_back(part: str, runtime: Any, maker: Maker, homed: Home) -> None:
    """The contract in files alone: the same for the fake."""
    spec = spec_of(maker.place, "db")
    own = _folder(runtime, maker, part)
    (own / "note").write_text("old")
    _owned(own)
    into = homed.snapshot(f"contract-{maker.key}")
    runtime.snapshot(maker.place, [spec], into, quiet())
    runtime.snapshot(maker.place, [spec], into, quiet())
    assert [path.read_text() for path in into.glob(f"{part}/*/note")] == ["old"]
    incoming = runtime.incoming(maker.place)
    assert not runtime.keeps_aside(maker.place)
    shutil.copytree(into, incoming)
    next(incoming.glob(f"{part}/*/note")).write_text("new")
    _owned(incoming)
    for _ in range(2):
        runtime.take_in(maker.place, [spec] if part == "mounts" or runtime.name == "fake" else [])
    if part == "mounts" or runtime.name == "fake":
        assert (_folder(runtime, maker, part) / "note").read_text() == "new"
    assert runtime.keeps_aside(maker.place)
    for _ in range(2):
        runtime.give_back(maker.place, [spec])
    assert (_folder(runtime, maker, part) / "note").read_text() == "old"
    assert not runtime.keeps_aside(maker.place)
    for _ in range(2):
        runtime.throw_away(into)
    assert not into.exists()


def _folder(runtime: Any, maker: Maker, part: str) -> Path:
    name = "db" if part == "services" else "app-app"
    if runtime.name == "fake":
        return runtime.runtime.data(maker.place, part, name)
    layout = Layout(maker.home, maker.place)
    folder = layout.services / "db" / "data" if part == "services" else layout.mounts / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _owned(top: Path) -> None:
    for path in [*top.parents, top, *top.rglob("*")]:
        if "slipway-r-" in str(path) and path.name[:10] != "slipway-r-":
            give_away(path)


def _soon(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 15
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
