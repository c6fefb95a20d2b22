from typing import Any

import pytest

from environments.backing import engine_for
from environments.backing.grants import Endpoint, Words, read
from portal.errors import Invalid

WORDS = Words("schemas", "default_schema", "mysql", ("admin", "rw", "ro"), ("mysql",))


@pytest.mark.parametrize("configuration", [{}, {"schemas": None}, {"schemas": [], "endpoints": {}}])
def test_nothing_configured_gives_one_schema_with_one_admin(configuration: dict[str, Any]) -> None:
    layout = read(configuration, WORDS)
    assert layout.schemas == ("main",)
    assert layout.endpoints == (Endpoint("mysql", "main", {"main": "admin"}),)


def test_naming_schemas_alone_switches_the_default_endpoint_off() -> None:
    assert read({"schemas": ["shop"]}, WORDS).endpoints == []


def test_the_default_endpoint_comes_first_and_a_lone_schema_is_its_path() -> None:
    endpoints = {"report": {"privileges": {"shop": "ro"}}, "mysql": {"privileges": {"shop": "admin"}}}
    layout = read({"schemas": ["shop"], "endpoints": endpoints}, WORDS)
    assert [endpoint.name for endpoint in layout.endpoints] == ["mysql", "report"]
    assert layout.endpoint("report").default == "shop"


@pytest.mark.parametrize(
    ("configuration", "field", "says"),
    [
        ({"schemas": "main"}, "schemas", "list of names"),
        ({"schemas": [1]}, "schemas", "list of names"),
        ({"schemas": ["a`b"]}, "schemas", "letters, digits"),
        ({"schemas": ["a%"]}, "schemas", "letters, digits"),
        ({"schemas": ["MySQL"]}, "schemas", "server's own names"),
        ({"schemas": ["a" * 58]}, "schemas", "at most 57"),
        ({"schemas": [f"s{n}" for n in range(65)]}, "schemas", "too many"),
        ({"endpoints": ["mysql"]}, "endpoints", "mapping"),
        ({"endpoints": {f"e{n}": None for n in range(65)}}, "endpoints", "too many"),
        ({"endpoints": {"slipway.admin": None}}, "endpoints.slipway.admin", "letters, digits"),
        ({"endpoints": {"x": "admin"}}, "endpoints.x", "mapping"),
        ({"endpoints": {"x": {"privilege": {}}}}, "endpoints.x.privilege", 'Did you mean "privileges"'),
        ({"endpoints": {"x": {"privileges": ["ro"]}}}, "endpoints.x.privileges", "mapping"),
        ({"endpoints": {"x": {"privileges": {"a": "ro"}}}}, "endpoints.x.privileges.a", 'There is no "a"'),
        (
            {"schemas": ["a"], "endpoints": {"x": {"privileges": {"a": "super"}}}},
            "endpoints.x.privileges.a",
            "Allowed: admin, rw, ro",
        ),
        (
            {"schemas": ["a"], "endpoints": {"x": {"default_schema": "b"}}},
            "endpoints.x.default_schema",
            "it has: a",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(configuration: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(Invalid, match=says) as refused:
        read(configuration, WORDS)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"max_allowed_packet": "16; DROP"}, "properties.max_allowed_packet"),
        ({"max_allowed_packet": 2048}, "properties.max_allowed_packet"),
        ({"max_allowed_packet": True}, "properties.max_allowed_packet"),
        ({"optimizer_switch": "mrr=on' --init-file=/x"}, "properties.optimizer_switch"),
        ({"optimizer_switch": "nonsense=on"}, "properties.optimizer_switch"),
        ({"sql_mode": "STRICT_TRANS_TABLES,MADE_UP"}, "properties.sql_mode"),
        ({"innodb_adaptive_hash_index": "maybe"}, "properties.innodb_adaptive_hash_index"),
        ({"default_charset": "utf9"}, "properties.default_charset"),
        ({"default_charset": "latin1", "default_collation": "utf8mb4_bin"}, "properties.default_collation"),
        ({"default_collation": "utf8mb4_bin; --"}, "properties.default_collation"),
        ({"plugin_dir": "/tmp"}, "properties.plugin_dir"),
        (["x"], "properties"),
    ],
)
def test_a_property_that_would_harm_the_server_is_refused(properties: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        engine_for("mariadb").check({"properties": properties})
    assert refused.value.field == field


def test_what_is_understood_but_not_done_is_a_warning() -> None:
    assert engine_for("mariadb").check({"rotate_passwords": True, "properties": {"wsrep_sync_wait": 1}}) == [
        "wsrep_sync_wait is ignored: there is one server, so it is always in step.",
        "rotate_passwords is ignored: passwords stay as they are.",
    ]
    endpoints = {"mysql": {"privileges": {"main": "replication-admin"}}}
    assert engine_for("mariadb").check({"schemas": ["main"], "endpoints": endpoints}) == [
        "The server keeps no binary log, so nothing can replicate from it."
    ]
    assert engine_for("postgresql").check({"properties": {"x": 1}}) == [
        "properties is ignored: the server's settings are fixed."
    ]


def test_an_extension_that_reads_the_servers_files_is_refused() -> None:
    for name in ("file_fdw", "dblink", "postgres_fdw", "adminpack", "../x"):
        with pytest.raises(Invalid, match=r"Allowed: .*pg_trgm") as refused:
            engine_for("postgresql").check({"extensions": [name]})
        assert refused.value.field == "extensions"


def test_a_policy_that_redis_does_not_know_is_refused_with_a_suggestion() -> None:
    with pytest.raises(Invalid, match='Did you mean "allkeys-lru"') as refused:
        engine_for("redis").check({"maxmemory_policy": "allkey-lru"})
    assert refused.value.field == "maxmemory_policy"
