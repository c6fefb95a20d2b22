import pytest

from . import servers
from .clients import REFUSED, connect
from .conftest import MakeServer


def test_a_cache_forgets_and_evicts(make_server: MakeServer) -> None:
    with servers.running(make_server("redis:7.2")) as server:
        with connect(server.relationship()) as client:
            client.write("gone")
            assert "allkeys-lru" in str(client.ask("CONFIG GET maxmemory-policy"))
        server.stop()
        assert not list(server.data.iterdir())
        server.start()
        with connect(server.relationship()) as client:
            assert client.read() is None


def test_the_policy_follows_the_configuration_without_a_restart(make_server: MakeServer) -> None:
    with servers.running(make_server("redis:7.2", {"maxmemory_policy": "volatile-ttl"})) as server:
        with connect(server.relationship()) as client:
            assert "volatile-ttl" in str(client.ask("CONFIG GET maxmemory-policy"))
        server.reconfigured(configuration={"maxmemory_policy": "noeviction"})
        server.configure()
        with connect(server.relationship()) as client:
            assert "noeviction" in str(client.ask("CONFIG GET maxmemory-policy"))


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL",
        "KEYS *",
        "INFO",
        "DBSIZE",
        "CLIENT LIST",
        "CLIENT SETNAME web",
        "SORT list",
        "ACL WHOAMI",
        "SELECT 3",
    ],
)
def test_what_applications_need_is_allowed(command: str, make_server: MakeServer) -> None:
    with servers.running(make_server("redis:7.2")) as server, connect(server.relationship()) as client:
        client.ask(command)


def test_scripts_publishing_and_streams_are_allowed(make_server: MakeServer) -> None:
    with servers.running(make_server("redis:7.2")) as server, connect(server.relationship()) as client:
        assert client.ask("EVAL return(1) 0") == 1
        assert client.ask("PUBLISH channel hello") == 0
        client.ask("XADD stream * key value")
        with pytest.raises(REFUSED):
            client.ask("EVAL return(redis.call('config','set','dir','/tmp')) 0")
