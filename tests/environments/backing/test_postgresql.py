from collections.abc import Iterator
from typing import Any

import pytest

from environments.backing import postgresql

from . import servers
from .clients import REFUSED, connect
from .conftest import MakeServer
from .servers import Server

CONFIGURATION: dict[str, Any] = {
    "databases": ["shop", "log"],
    "endpoints": {
        "postgresql": {"default_database": "shop", "privileges": {"shop": "admin"}},
        "second": {"privileges": {"shop": "admin", "log": "ro"}},
        "writer": {"privileges": {"shop": "rw"}},
        "reader": {"privileges": {"shop": "ro"}},
        "main": {"privileges": {"log": "admin"}},
    },
    "extensions": ["pg_trgm", "hstore", "uuid-ossp"],
}


@pytest.fixture
def server(make_server: MakeServer) -> Iterator[Server]:
    with servers.running(make_server("postgresql:13", CONFIGURATION)) as running:
        yield running


def refused(server: Server, endpoint: str, statement: str, **other: Any) -> bool:
    try:
        with connect(server.relationship(endpoint), **other) as client:
            client.ask(statement)
    except REFUSED:
        return True
    return False


def test_each_endpoint_may_what_its_privileges_say(server: Server) -> None:
    assert not refused(server, "postgresql", "CREATE TABLE note (id serial PRIMARY KEY, value text)")
    assert not refused(server, "postgresql", "CREATE SCHEMA extra")
    assert not refused(server, "postgresql", "CREATE TABLE extra.note (id int)")
    assert not refused(server, "second", "ALTER TABLE note ADD COLUMN more text")
    assert not refused(server, "writer", "INSERT INTO note (value) VALUES ('w')")
    assert refused(server, "writer", "ALTER TABLE note ADD COLUMN less text")
    assert not refused(server, "reader", "SELECT * FROM note, extra.note AS other")
    assert refused(server, "reader", "DELETE FROM note")
    assert refused(server, "reader", "SELECT nextval('note_id_seq')")
    assert refused(server, "reader", "CREATE TABLE mine (id int)")


def test_an_admin_of_one_database_has_no_more_in_another(server: Server) -> None:
    assert not refused(server, "main", "CREATE TABLE entry (id int)")
    assert not refused(server, "second", "SELECT * FROM entry", path="log")
    assert refused(server, "second", "DROP TABLE entry", path="log")
    assert refused(server, "writer", "SELECT 1", path="log")
    for name in ("postgres", "template1"):
        assert refused(server, "postgresql", "SELECT 1", path=name)


def test_rights_that_are_taken_away_are_gone_and_data_stays(server: Server) -> None:
    with connect(server.relationship("second")) as client:
        client.write("kept")
    gone = server.relationship("writer")
    endpoints = {
        "postgresql": {"privileges": {"shop": "admin"}},
        "second": {"privileges": {"shop": "ro"}},
    }
    server.reconfigured(configuration={"databases": ["shop"], "endpoints": endpoints})
    server.configure()
    with pytest.raises(REFUSED), connect(gone):
        pass
    assert refused(server, "second", "DELETE FROM note")
    assert refused(server, "second", "SELECT 1", path="log")
    with connect(server.relationship("postgresql")) as client:
        assert client.read() == "kept"
        client.write("changed")
    with connect(server.relationship("second")) as client:
        assert client.read() == "changed"


def test_extensions_are_there_and_trusted_ones_can_be_made_by_the_application(server: Server) -> None:
    with connect(server.relationship()) as client:
        assert client.ask("SELECT similarity('abc', 'abd') > 0, uuid_generate_v4() IS NOT NULL") == [(True, True)]
        client.ask("CREATE EXTENSION citext")


def test_user_and_database_are_called_main_by_default(make_server: MakeServer) -> None:
    entry = make_server("postgresql:14").relationship()
    assert (entry["username"], entry["path"], entry["scheme"]) == ("main", "main", "pgsql")
    assert entry["query"] == {"is_master": True}


def test_a_copied_data_directory_takes_this_services_passwords(server: Server, make_server: MakeServer) -> None:
    with connect(server.relationship()) as client:
        client.write("copied")
    server.stop()
    other = make_server("postgresql:13", CONFIGURATION)
    other.create()
    other.data.rename(other.data.with_name("empty"))
    server.data.rename(other.data)
    servers.unprivileged(postgresql.set_admin, other.spec, other.data)
    with servers.running(other), connect(other.relationship()) as client:
        assert client.read() == "copied"
