"""What every engine promises, asked of real servers run by an unprivileged user."""

import multiprocessing
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from environments import process
from environments.backing import base, engine_for, installed
from environments.runtimes.base import RuntimeFailure
from portal.errors import Invalid

from . import clients, servers
from .clients import REFUSED, connect
from .conftest import MakeServer
from .servers import Server

ASKED = ("mysql:10.4", "postgresql:14", "redis-persistent:7.2")

# What an application must not be able to do with its account.
FORBIDDEN = {
    "mysql:10.4": [
        "SELECT * FROM mysql.global_priv",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "LOAD DATA INFILE '/etc/passwd' INTO TABLE note",
        "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE note",
        "CREATE DATABASE other",
        "CREATE USER other",
        "GRANT ALL ON *.* TO user",
        "SET GLOBAL max_connections = 1",
        "SET PASSWORD FOR 'slipway.admin'@'localhost' = PASSWORD('x')",
        "CREATE DEFINER = 'slipway.admin'@'localhost' VIEW w AS SELECT 1",
        "INSTALL SONAME 'ha_connect'",
        "SHUTDOWN",
    ],
    "postgresql:14": [
        "SELECT * FROM pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "COPY note TO PROGRAM 'id'",
        "COPY note FROM '/etc/passwd'",
        "CREATE DATABASE other",
        "CREATE ROLE other",
        "ALTER ROLE main SUPERUSER",
        'GRANT "slipway.admin" TO main',
        'SET ROLE "slipway.admin"',
        "ALTER SYSTEM SET work_mem = '1GB'",
        "CREATE EXTENSION file_fdw",
        "SELECT lo_import('/etc/passwd')",
    ],
    "redis-persistent:7.2": [
        "CONFIG SET dir /tmp",
        "CONFIG REWRITE",
        "ACL LIST",
        "ACL SETUSER default nopass",
        "ACL GETUSER slipway.admin",
        "SHUTDOWN",
        "REPLICAOF 127.0.0.1 6379",
        "MODULE LOAD /tmp/x.so",
        "DEBUG SLEEP 0",
        "MIGRATE 127.0.0.1 6379 note 0 100",
        "SAVE",
        "BGREWRITEAOF",
    ],
}


@pytest.fixture(params=ASKED)
def asked(request: pytest.FixtureRequest) -> str:
    assert request.param.partition(":")[0] in installed(), "the development requirements name the servers to install"
    return str(request.param)


@pytest.fixture
def server(asked: str, make_server: MakeServer) -> Iterator[Server]:
    with servers.running(make_server(asked)) as running:
        yield running


def test_create_twice_is_the_same_as_once(asked: str, make_server: MakeServer) -> None:
    server = make_server(asked)
    server.create()
    before = sorted((path, path.stat().st_mtime_ns) for path in server.data.rglob("*"))
    server.create()
    assert sorted((path, path.stat().st_mtime_ns) for path in server.data.rglob("*")) == before


def _create_and_die(server: Server, after: int) -> None:
    """`create`, killed when it starts its program number `after` (0 is the first)."""
    real, calls = process.run, iter(range(100))

    def run(argv: Any, **options: Any) -> Any:
        if next(calls) == after:
            if after == 0:
                half = server.data.with_name("data.new")
                half.mkdir()
                (half / "half").write_text("made")
            os.kill(os.getpid(), signal.SIGKILL)
        return real(argv, **options)

    process.run = run  # in a process of its own, which ends here
    server.engine.create(server.spec, server.data, server.sockets)


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("asked", ["mysql:10.4", "postgresql:14"])
def test_what_a_killed_create_left_is_made_again(asked: str, after: int, make_server: MakeServer) -> None:
    server = make_server(asked)
    servers.unprivileged(server.engine.prepare, server.spec.version)
    runner = multiprocessing.get_context("fork").Process(
        target=servers.unprivileged, args=(_create_and_die, server, after)
    )
    runner.start()
    runner.join(20)
    assert after > 0 or not server.data.exists()
    with servers.running(server), connect(server.relationship()) as client:
        client.write("whole")
        assert client.read() == "whole"
    assert not (server.data / "half").exists()
    assert not server.data.with_name("data.new").exists()


def test_it_is_not_ready_before_it_runs_and_after_it_stopped(asked: str, make_server: MakeServer) -> None:
    server = make_server(asked)
    server.create()
    assert not server.is_ready()
    server.start()
    assert server.is_ready()
    assert server.stop() == 0
    assert not server.is_ready()


def test_configure_twice_changes_nothing_for_the_application(server: Server) -> None:
    with connect(server.relationship()) as before:
        before.write("kept")
        server.configure()
        assert before.read() == "kept"
    with connect(server.relationship()) as after:
        assert after.read() == "kept"


def test_an_application_connects_with_what_its_relationship_says(server: Server) -> None:
    entry = server.relationship()
    assert set(entry) == {
        *("host", "hostname", "ip", "port", "scheme", "username", "password", "path", "query", "fragment"),
        *("rel", "service", "cluster", "type", "public", "host_mapped"),
    }
    assert entry["host"] == entry["hostname"] == "database.internal"
    assert (entry["ip"], entry["port"]) == (server.spec.address, server.engine.port)
    assert (entry["service"], entry["type"]) == ("db", server.spec.asked)
    assert entry["public"] is False
    assert entry["host_mapped"] is False
    with connect(entry) as client:
        client.write("hello")
        assert client.read() == "hello"


def test_it_listens_on_its_own_address_only(server: Server) -> None:
    with pytest.raises(OSError, match=r"refused|111"):
        socket.create_connection((servers.free_address(server.engine.port), server.engine.port), 2)


def test_a_wrong_password_and_no_password_are_refused(server: Server) -> None:
    for password in ("wrong", "", None):
        with pytest.raises(REFUSED), connect(server.relationship(), password=password):
            pass


def test_the_administrator_cannot_come_by_the_network(server: Server) -> None:
    if server.engine.name == "redis":
        return  # its users are the same on every way in; the password is known to the portal alone
    with (
        pytest.raises(REFUSED),
        connect(server.relationship(), username="slipway.admin", password=server.spec.secrets["admin"]),
    ):
        pass


def test_another_environments_credentials_are_refused(asked: str, server: Server, make_server: MakeServer) -> None:
    other = make_server(asked)
    with servers.running(other):
        theirs = {name: other.relationship()[name] for name in ("username", "password")}
        with pytest.raises(REFUSED), connect(server.relationship(), **theirs):
            pass


def test_an_application_cannot_become_more_than_it_is(asked: str, server: Server) -> None:
    with connect(server.relationship()) as client:
        client.write("there")
        for statement in FORBIDDEN[asked]:
            try:
                client.ask(statement)
            except REFUSED:
                continue
            pytest.fail(f"{statement} was accepted")
        assert client.read() == "there"


def test_a_restart_keeps_the_data_and_the_accounts(server: Server) -> None:
    with connect(server.relationship()) as client:
        client.write("kept")
    assert server.stop() == 0
    server.create()
    server.start()
    with connect(server.relationship()) as client:
        assert client.read() == "kept"


def test_a_killed_server_comes_back_with_what_was_written(server: Server) -> None:
    with connect(server.relationship()) as client:
        client.write("kept")
        if server.engine.name == "redis":
            time.sleep(1.1)  # the append-only file is flushed each second
    server.stop(signal.SIGKILL)
    time.sleep(0.2)
    server.start()
    with connect(server.relationship()) as client:
        assert client.read() == "kept"


def test_a_new_password_takes_the_place_of_the_old_one(server: Server) -> None:
    old = server.relationship()
    fresh = server.engine.new_secrets(server.spec.configuration)
    server.reconfigured(secrets=fresh | {"admin": server.spec.secrets["admin"]})
    server.configure()
    with pytest.raises(REFUSED), connect(old):
        pass
    with connect(server.relationship()) as client:
        client.write("mine")


def test_a_second_server_on_the_same_data_does_not_start(server: Server, tmp_path: Path) -> None:
    sandbox = server.engine.program(server.spec, server.data, server.sockets)
    impatient = ["0.1" if part == "20" else part for part in sandbox.argv]
    second = servers.start(replace(sandbox, argv=impatient), tmp_path / "log")
    assert second.wait(10) != 0
    assert server.is_ready()


def test_no_secret_is_in_arguments_environment_or_an_open_file(server: Server) -> None:
    sandbox = server.engine.program(server.spec, server.data, server.sockets)
    text = " ".join([*sandbox.argv, *sandbox.env.values(), (server.home / "log").read_text()])
    for secret in _texts(server.spec.secrets):
        assert secret not in text
    for path in (server.home / "services" / "db").rglob("*"):
        private = any(stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0 for folder in (path, *path.parents))
        assert private, path
    for path in (server.home / "services" / "db").iterdir():
        if path.is_file():
            assert not any(secret in path.read_text() for secret in _texts(server.spec.secrets)), path


def _texts(secrets: Mapping[str, Any]) -> Iterator[str]:
    for value in secrets.values():
        if isinstance(value, Mapping):
            yield from _texts(value)
        else:
            yield value


def test_its_sandbox_holds_its_own_folders_and_nothing_else(server: Server) -> None:
    sandbox = server.engine.program(server.spec, server.data, server.sockets)
    own = (server.data.parent, base.socket_directory(server.spec, server.sockets))
    for path, inside in (*sandbox.read_only, *sandbox.writable):
        assert any(path == folder or folder in path.parents for folder in own)
        assert str(path) == inside
        assert path.exists()
    assert sandbox.label == "e1-s-db"


def test_it_runs_in_a_sandbox_of_the_local_runtime_and_ends_well_there(asked: str, make_server: MakeServer) -> None:
    server = make_server(asked)
    server.create()
    server.start(confined=True)
    server.configure()
    with connect(server.relationship()) as client:
        client.write("kept")
    assert server.stop() == 0
    server.start(confined=True)
    with connect(server.relationship()) as client:
        assert client.read() == "kept"
    server.stop(signal.SIGKILL)
    server.start(confined=True)
    assert server.is_ready()


def test_new_secrets_keep_those_that_are_known(asked: str) -> None:
    engine = engine_for(asked)
    known = engine.new_secrets({})
    assert engine.new_secrets({}, known) == known
    assert engine.new_secrets({}) != known


def test_an_endpoint_it_does_not_have_is_refused_with_those_it_has(asked: str, make_server: MakeServer) -> None:
    server = make_server(asked)
    with pytest.raises(Invalid, match=r"has no endpoint \"nope\"\. It has: \w+"):
        server.relationship("nope")


def test_a_key_that_is_not_known_is_refused_by_name(asked: str) -> None:
    with pytest.raises(Invalid, match="rotate_passwords") as refused:
        engine_for(asked).check({"rotate_password": True})
    assert refused.value.field == "rotate_password"


def test_configure_says_what_is_wrong_when_the_server_is_away(asked: str, make_server: MakeServer) -> None:
    server = make_server(asked)
    with pytest.raises(RuntimeFailure, match='refused the configuration of the service "db"') as failed:
        server.configure()
    assert failed.value.error_id == "service-configuration"
    assert not failed.value.by_user


def test_it_is_small_and_quick(server: Server, record_property: Any) -> None:
    """The numbers are recorded; the limits are far above them and only catch what went badly wrong."""
    memory = server.resident()
    record_property("memory", memory)
    print({name: round(seconds, 3) for name, seconds in server.times.items()}, memory)
    assert memory < 80 * 1024**2


def test_a_home_too_long_for_sockets_is_said_so(asked: str, make_server: MakeServer) -> None:
    server = make_server(asked)
    with pytest.raises(Invalid, match="shorter SLIPWAY_HOME"):
        server.engine.create(server.spec, server.data, Path("/" + "x" * 90))


def test_a_type_nobody_has_is_refused_with_the_list() -> None:
    with pytest.raises(Invalid, match=r"no service of type \"oracle-mysql:8\.4\" here. Available: .*mariadb.*, mysql"):
        engine_for("oracle-mysql:8.4")


def test_aliases_lead_to_the_engine_that_speaks_their_protocol() -> None:
    names = {name: engine_for(name).name for name in installed()}
    assert names["mysql"] == names["mariadb"] == "mariadb"
    for name in ("redis", "redis-persistent", "valkey", "valkey-persistent"):
        assert names[name] == "redis"


def test_valkeys_endpoint_is_called_valkey(make_server: MakeServer) -> None:
    assert make_server("valkey:8.0").relationship()["rel"] == "valkey"
    assert clients.REFUSED
