from collections.abc import Iterator
from typing import Any

import pytest

from environments.runtimes.base import RuntimeFailure

from . import servers
from .clients import REFUSED, connect
from .conftest import MakeServer
from .servers import Server

CONFIGURATION: dict[str, Any] = {
    "schemas": ["shop_a", "shopXa", "log"],
    "endpoints": {
        "mysql": {"default_schema": "shop_a", "privileges": {"shop_a": "admin"}},
        "writer": {"privileges": {"shop_a": "rw"}},
        "reader": {"privileges": {"shop_a": "ro", "log": "rw"}},
        "user": {"privileges": {"log": "admin"}},
        "copier": {"privileges": {"log": "replication"}},
    },
    "properties": {
        "max_allowed_packet": 64,
        "default_charset": "utf8mb4",
        "default_collation": "utf8mb4_unicode_ci",
        "optimizer_switch": "rowid_filter=off, mrr=on",
        "optimizer_use_condition_selectivity": 1,
        "innodb_adaptive_hash_index": True,
        "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
        "table_open_cache": 500,
    },
}


@pytest.fixture
def server(make_server: MakeServer) -> Iterator[Server]:
    with servers.running(make_server("mariadb:10.6", CONFIGURATION)) as running:
        yield running


def refused(server: Server, endpoint: str, statement: str) -> bool:
    with connect(server.relationship(endpoint)) as client:
        try:
            client.ask(statement)
        except REFUSED:
            return True
        return False


def test_each_endpoint_may_what_its_privileges_say(server: Server) -> None:
    with connect(server.relationship("mysql")) as admin:
        admin.ask("CREATE TABLE note (id int AUTO_INCREMENT PRIMARY KEY, value varchar(100))")
        admin.ask("CREATE PROCEDURE p() SELECT 1")
        admin.ask("CREATE TRIGGER t BEFORE INSERT ON note FOR EACH ROW SET @x = 1")
        admin.ask("CREATE VIEW v AS SELECT value FROM note")
    assert not refused(server, "writer", "INSERT INTO note (value) VALUES ('w')")
    assert not refused(server, "writer", "CALL p()")
    assert refused(server, "writer", "DROP TABLE note")
    assert not refused(server, "reader", "SELECT * FROM v")
    assert refused(server, "reader", "INSERT INTO note (value) VALUES ('r')")
    assert refused(server, "user", "SELECT * FROM shop_a.note")
    assert not refused(server, "user", "CREATE TABLE log.entry (id int)")


def test_an_underscore_in_a_name_stands_for_itself(server: Server) -> None:
    assert refused(server, "mysql", "CREATE TABLE shopXa.note (id int)")


def test_properties_hold_now_and_after_a_restart(server: Server) -> None:
    for _ in range(2):
        with connect(server.relationship()) as client:
            [row] = client.ask(
                "SELECT @@max_allowed_packet, @@collation_database, @@optimizer_switch LIKE '%rowid_filter=off%', "
                "@@sql_mode, @@global.table_open_cache, @@global.innodb_adaptive_hash_index, @@global.local_infile"
            )
        assert row == (64 * 1024**2, "utf8mb4_unicode_ci", 1, "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION", 500, 1, 0)
        server.stop()
        server.start()


def test_a_changed_property_holds_without_a_restart(server: Server) -> None:
    server.reconfigured(configuration=CONFIGURATION | {"properties": {"max_allowed_packet": 32}})
    server.configure()
    with connect(server.relationship()) as client:
        assert client.ask("SELECT @@max_allowed_packet") == ((32 * 1024**2,),)


def test_a_property_that_is_asked_for_no_more_goes_back_to_its_default(server: Server) -> None:
    asked = "SELECT @@global.table_open_cache, @@global.max_allowed_packet, @@global.sql_mode"
    server.reconfigured(configuration={key: value for key, value in CONFIGURATION.items() if key != "properties"})
    server.configure()
    with connect(server.relationship()) as client:
        now = client.ask(asked)
    server.stop()
    server.start()
    with connect(server.relationship()) as client:
        assert client.ask(asked) == now


def test_a_collation_that_the_server_lacks_is_the_users_to_mend(server: Server) -> None:
    properties = {"default_collation": "utf8mb4_klingon_ci"}
    server.reconfigured(configuration=CONFIGURATION | {"properties": properties})
    with pytest.raises(RuntimeFailure, match="Unknown collation: 'utf8mb4_klingon_ci'") as failed:
        server.configure()
    assert failed.value.by_user


def test_rights_that_are_taken_away_are_gone_and_data_stays(server: Server) -> None:
    with connect(server.relationship("mysql")) as admin:
        admin.write("kept")
    fewer = {"schemas": ["log"], "endpoints": {"reader": {"privileges": {"log": "ro"}}}}
    gone = server.relationship("writer")
    reader = server.relationship("reader")
    server.reconfigured(configuration=fewer)
    server.configure()
    with pytest.raises(REFUSED), connect(gone):
        pass
    with connect(reader, path="log") as client, pytest.raises(REFUSED):
        client.ask("SELECT * FROM shop_a.note")
    with connect(reader, path="log") as client, pytest.raises(REFUSED):
        client.ask("CREATE TABLE x (id int)")
    server.reconfigured(configuration=CONFIGURATION)
    server.configure()
    with connect(server.relationship("mysql")) as admin:
        assert admin.read() == "kept"


def test_there_is_no_other_account_and_no_test_database(server: Server) -> None:
    for name in ("root", "mysql", "slipway", ""):
        with pytest.raises(REFUSED), connect(server.relationship(), username=name, password="", path=None):
            pass
    with connect(server.relationship("mysql")) as client:
        assert {name for (name,) in client.ask("SHOW DATABASES")} == {"information_schema", "shop_a"}


def test_a_data_directory_from_elsewhere_takes_this_services_passwords(server: Server, make_server: MakeServer) -> None:
    with connect(server.relationship()) as client:
        client.write("copied")
    server.stop()
    other = make_server("mariadb:10.6", CONFIGURATION)
    other.create()
    other.data.rename(other.data.with_name("empty"))
    server.data.rename(other.data)
    with servers.running(other):
        with connect(other.relationship()) as client:
            assert client.read() == "copied"
        theirs = {name: server.relationship()[name] for name in ("username", "password")}
        with pytest.raises(REFUSED), connect(other.relationship(), **theirs):
            pass
