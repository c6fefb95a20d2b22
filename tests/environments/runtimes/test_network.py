"""Environments with networks of their own: what one can reach from inside, and what happens when a network is lost."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from environments import process
from environments.backing import engine_for
from environments.process import Watch
from environments.runtimes.base import RuntimeFailure, ServiceSpec
from environments.runtimes.local import LocalRuntime
from environments.runtimes.local.holder import CLOSED
from environments.runtimes.local.network import MAIL, state
from environments.runtimes.local.supervisor import Supervisor
from tests.environments.backing.servers import free_address, give_away

from .apps import FILES, PYTHON
from .conftest import LIMITS
from .make import Dropped, Maker, get

REACH = """
import json, socket, sys
found = {}
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            found[place] = "reached"
    except OSError as error:
        found[place] = error.strerror or str(error)
print(json.dumps(found))
"""
APP = {**FILES, "reach.py": REACH}


@pytest.fixture(autouse=True)
def isolated(home: Any) -> None:
    found = state(home)
    if not found.isolated:
        pytest.skip(f"this host has no networks to give: {found.reason}")


@pytest.fixture
def other(maker: Maker, local: Any) -> Iterator[Maker]:
    other = Maker(maker.home, maker.key + 7000)
    yield other
    local.remove(other.place)


def said(local: Any, release: Any, script: str) -> str:
    output: list[bytes] = []
    local.run(release, "app", script, Watch(output=output.append, total=60))
    return b"".join(output).decode("utf-8", "replace")


def reach(local: Any, release: Any, *places: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(said(local, release, f"python reach.py {' '.join(places)}").splitlines()[-1])
    assert set(found) == set(places)
    return found


def running(local: Any, maker: Maker) -> Any:
    release = maker.release(PYTHON, APP)
    local.place(release)
    local.start(release)
    probe = local.probe(release, timeout=20, watch=quiet())
    assert probe.ok, probe.reason
    return release


def redis(maker: Maker) -> ServiceSpec:
    engine = engine_for("redis:7.0")
    return ServiceSpec(
        place=maker.place,
        name="cache",
        engine="redis",
        version=engine.versions()[-1],
        asked="redis:7.0",
        address=free_address(6379),
        port=6379,
        secrets=engine.new_secrets({}),
        configuration={},
    )


def quiet() -> Watch:
    return Watch(output=lambda _: None)


def until(question: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def listening(address: str) -> Iterator[int]:
    """Something of the host that accepts everybody."""
    with closing(socket.create_server((address, 0))) as server:

        def accept() -> None:
            while True:
                try:
                    server.accept()[0].close()
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def own_address() -> str | None:
    """An address of this host that is not loopback; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.77", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])


@pytest.mark.usefixtures("templates")
def test_an_environment_reaches_its_own_services_and_nothing_of_another(local: Any, maker: Maker, other: Maker) -> None:
    mine, theirs = redis(maker), redis(other)
    for spec in (mine, theirs):
        local.provision(spec, quiet())
    release, neighbour = running(local, maker), running(local, other)
    ports = [found.programs[0].port for found in (release, neighbour)]
    own = [f"{mine.address}:6379", f"127.0.0.1:{ports[0]}"]
    foreign = [f"{theirs.address}:6379", f"127.0.0.1:{ports[1]}"]
    assert reach(local, release, *own, *foreign) == {
        **dict.fromkeys(own, "reached"),
        **dict.fromkeys(foreign, "Connection refused"),
    }
    assert reach(local, neighbour, *foreign, *own) == {
        **dict.fromkeys(foreign, "reached"),
        **dict.fromkeys(own, "Connection refused"),
    }


def test_nothing_of_the_host_can_be_reached(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, APP)
    address = own_address()
    with listening("0.0.0.0") as port, listening("127.0.0.1") as loopback:
        places = [f"{host}:{port}" for host in ("127.0.0.1", "10.0.2.2", "10.0.2.3", *([address] if address else []))]
        found = reach(local, release, *places, f"127.0.0.1:{loopback}", f"10.0.2.2:{loopback}", f"10.0.2.3:{loopback}")
    assert "reached" not in found.values()


def test_metadata_services_and_neighbours_of_the_host_are_closed(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, APP)
    places = ["169.254.169.254:80", "10.20.30.40:5432", "172.16.0.1:80", "192.168.1.1:80", "100.100.100.200:80"]
    assert reach(local, release, *places) == dict.fromkeys(places, "No route to host")
    assert said(local, release, "ip route add 10.0.0.0/9 via 10.0.2.2 2>&1; ip link set lo down 2>&1").strip()
    assert reach(local, release, places[1]) == {places[1]: "No route to host"}


def test_the_way_out_and_its_resolver_are_there(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, APP)
    routes = said(local, release, "cat /proc/net/route; cat /etc/resolv.conf; cat /proc/net/dev")
    default = [line.split() for line in routes.splitlines() if line.split()[1:2] == ["00000000"]]
    assert [(line[2], line[7]) for line in default] == [("0202000A", "00000000")]
    assert "nameserver 10.0.2.3\n" in routes
    assert sum(":" in line for line in routes.splitlines()[2:] if "|" not in line) == 2  # lo and the way out


def test_private_networks_can_be_opened(home: Any, maker: Maker) -> None:
    opened = Dropped(LocalRuntime(home, replace(LIMITS, network_allow=["10.20.0.0/16"])))
    release = maker.release(PYTHON, APP)
    routes = said(opened, release, "cat /proc/net/route")
    found = {line.split()[1]: line.split()[2] for line in routes.splitlines()[1:]}
    assert found["0000140A"] == "0202000A"
    assert found["0000000A"] == "00000000"
    assert len(found) >= len(CLOSED)


def test_the_portal_connects_and_listens_inside(local: Any, maker: Maker) -> None:
    release = running(local, maker)
    with local.connect(maker.place, "127.0.0.1", release.programs[0].port) as link:
        link.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
        assert link.recv(12).startswith(b"HTTP/1.")
    with pytest.raises(OSError, match="refused"):
        local.connect(maker.place, "127.0.0.1", 9)
    with local.listen(maker.place, "127.63.1.1", 2526) as server:
        assert reach(local, release, "127.63.1.1:2526") == {"127.63.1.1:2526": "reached"}
        server.settimeout(5)
        server.accept()[0].close()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.63.1.1", 2526), timeout=5)
    # The holder's own listeners take connections before anybody accepts them, and after whoever did is gone.
    mail = f"{MAIL[0]}:{MAIL[1]}"
    assert reach(local, release, mail) == {mail: "reached"}
    with local.listen(maker.place, *MAIL) as server:
        server.settimeout(5)
        server.accept()[0].close()
    assert reach(local, release, mail) == {mail: "reached"}


def test_connecting_starts_no_program(local: Any, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    release = running(local, maker)
    with monkeypatch.context() as patched:
        for name in ("run", "stream", "detach"):
            patched.setattr(process, name, None)
        for _ in range(20):
            local.connect(maker.place, "127.0.0.1", release.programs[0].port).close()


@pytest.mark.usefixtures("templates")
@pytest.mark.parametrize("victim", ["slirp4netns", "holder"])
def test_a_lost_network_is_made_anew_with_everything_in_it(local: Any, maker: Maker, victim: str) -> None:
    spec = redis(maker)
    local.provision(spec, quiet())
    release = running(local, maker)
    before = local.network(maker.place)
    inside = _inside(maker)
    assert len(inside) > 3
    group = f"e{maker.key}-net"
    (status,) = Supervisor(maker.home).statuses(group, [f"{group}-0"])
    os.kill(status.pid if victim == "slirp4netns" else _children(status.pid)[0], signal.SIGKILL)
    until(lambda: local.network(maker.place) not in (before, ""))
    until(lambda: local.healthy(release))
    assert local.probe(release, timeout=20, watch=quiet()).ok
    until(lambda: reach(local, release, f"{spec.address}:6379")[f"{spec.address}:6379"] == "reached")
    assert not inside & _inside(maker)
    assert len({os.readlink(f"/proc/{pid}/ns/net") for pid in _inside(maker)}) == 1


def test_everything_killed_at_once_comes_back_in_the_right_network(local: Any, maker: Maker) -> None:
    release = running(local, maker)
    group = f"e{maker.key}-net"
    (status,) = Supervisor(maker.home).statuses(group, [f"{group}-0"])
    for pid in (status.pid, *_inside(maker)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: local.network(maker.place) and local.healthy(release) and release_answers(local, release))


def test_no_program_runs_without_the_network_it_belongs_to(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, APP)
    local.place(release)
    group = f"e{maker.key}-net"
    Supervisor(maker.home).signal(group, [f"{group}-0"])
    Supervisor(maker.home).wait_ended(group, [f"{group}-0"], 20)
    local.start(release)
    time.sleep(1)
    assert not local.healthy(release)
    assert not _inside(maker)
    assert not release_answers(local, release)
    local.place(release)
    until(lambda: release_answers(local, release))
    assert local.healthy(release)


def release_answers(local: Any, release: Any) -> bool:
    try:
        return get(local.front(release)).status == 200
    except OSError:
        return False


def test_a_network_that_cannot_be_made_is_said(home: Any, maker: Maker) -> None:
    broken = LocalRuntime(home, replace(LIMITS, network_allow=["nonsense"]))
    with pytest.raises(RuntimeFailure, match="network of the environment could not be made") as caught:
        Dropped(broken).place(maker.release(PYTHON, APP))
    assert not caught.value.by_user


def test_removing_an_environment_removes_its_network(local: Any, maker: Maker) -> None:
    running(local, maker)
    assert _inside(maker)
    local.remove(maker.place)
    until(lambda: not _inside(maker))
    assert local.network(maker.place) == ""
    assert not Supervisor(maker.home).groups(f"e{maker.key}-")


def test_where_networks_cannot_be_had_the_hosts_is_shared(home: Any, local: Any, maker: Maker) -> None:
    before = home.network.read_text()
    home.network.write_text("shared\nno device\n")
    give_away(home.network)
    try:
        release = running(local, maker)
        assert release_answers(local, release)
        assert local.network(maker.place) == "shared"
        with listening("127.0.0.1") as port:
            assert reach(local, release, f"127.0.0.1:{port}") == {f"127.0.0.1:{port}": "reached"}
        with local.listen(maker.place, "127.63.9.9", 2525):
            assert reach(local, release, "127.63.9.9:2525") == {"127.63.9.9:2525": "reached"}
        local.stop(maker.place, 1)
    finally:
        home.network.write_text(before)


def _inside(maker: Maker) -> set[int]:
    """Processes in the environment's network."""
    mark = _mark(maker)
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            if f"{mark}:" in Path(f"/proc/{name}/net/dev").read_text():
                found.add(int(name))
    return found


def _mark(maker: Maker) -> str:
    folder = maker.home.environment(maker.place.project_id, maker.place.machine_name)
    path = folder / "run" / "network.json"
    return str(json.loads(path.read_text())["mark"]) if path.exists() else "none"


def _children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
