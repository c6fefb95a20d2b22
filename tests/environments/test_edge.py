import os
import socket
from pathlib import Path

import pytest

from environments import edge
from portal.errors import Invalid
from portal.paths import Home


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: object) -> Home:
    # Short: the edge connects to the symlinks by their paths.
    home = Home(tmp_path)
    settings.HOME = home  # type: ignore[attr-defined]
    return home


def release(home: Home, number: int) -> Path:
    folder = home.sockets(7) / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "front.sock"


def test_a_switch_sends_all_hosts_to_the_new_release_and_marks_it_live(home: Home) -> None:
    for number in (1, 2, 2):
        edge.switch(["a.localhost", "b.localhost"], release(home, number))
    assert os.readlink(home.edge / "a.localhost") == str(release(home, 2))
    assert edge.hosts_on(home.sockets(7) / "2") == {"a.localhost": release(home, 2), "b.localhost": release(home, 2)}
    assert edge.hosts_on(home.sockets(7) / "1") == {}
    assert (home.sockets(7) / "2" / "live").exists()
    assert sorted(os.listdir(home.edge)) == ["a.localhost", "b.localhost"]


def test_no_moment_of_a_switch_is_without_an_answer(home: Home) -> None:
    servers = []
    for number in (1, 2):
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(release(home, number)))
        server.listen(1000)
        servers.append(server)
    edge.switch(["a.localhost"], release(home, 1))
    pid = os.fork()
    if pid == 0:
        for turn in range(200):
            edge.switch(["a.localhost"], release(home, 1 + turn % 2))
        os._exit(0)
    failures = 0
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)  # nobody accepts: once the backlog is full, enough has been tried
            try:
                client.connect(str(home.edge / "a.localhost"))
            except BlockingIOError:
                break
            except OSError:
                failures += 1
    assert failures == 0
    for server in servers:
        server.close()


def test_removed_hosts_are_served_no_more(home: Home) -> None:
    edge.switch(["a.localhost", "b.localhost"], release(home, 1))
    for _ in range(2):
        edge.remove(["a.localhost"])
    assert list(edge.hosts_on(home.sockets(7))) == ["b.localhost"]


@pytest.mark.parametrize(
    "host", ["../x", "a/b", "", ".", "..", "-", "a..b", "A.localhost", "a\n", ".hidden", "x" * 254]
)
def test_what_is_no_host_name_never_becomes_a_path(home: Home, host: str) -> None:
    with pytest.raises(Invalid):
        edge.switch(["good.localhost", host], release(home, 1))
    assert edge.hosts_on(home.sockets(7)) == {}
    with pytest.raises(Invalid):
        edge.remove([host])


def test_a_host_whose_symlink_the_edge_could_not_reach_is_refused(home: Home) -> None:
    with pytest.raises(Invalid, match="too long"):
        edge.switch(["a" * 60 + "." + "b" * 60], release(home, 1))


def test_the_longest_name_of_an_environment_is_served_below_a_long_home(home: Home) -> None:
    host = "a" * 63 + ".slipway.a-company-of-some-length.example"
    edge.switch([host], release(home, 1))
    assert list(edge.hosts_on(home.sockets(7))) == [host]


def test_hosts_of_nothing_are_none(home: Home) -> None:
    assert edge.hosts_on(home.sockets(7)) == {}
