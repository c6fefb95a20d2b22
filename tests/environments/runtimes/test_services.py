"""Backing services under the local runtime: what happens to one that runs when it is asked for again."""

from dataclasses import replace
from typing import Any

import pytest

from environments.backing import engine_for
from environments.process import Watch
from environments.runtimes.base import ServiceSpec
from environments.runtimes.local.supervisor import Supervisor
from tests.environments.backing.servers import free_address, unprivileged

from .make import Maker


def asked(maker: Maker, type: str, configuration: dict[str, Any]) -> ServiceSpec:
    engine = engine_for(type)
    return ServiceSpec(
        place=maker.place,
        name="store",
        engine=engine.name,
        version=engine.versions()[-1],
        asked=type,
        address=free_address(engine.port),
        port=engine.port,
        secrets=engine.new_secrets(configuration),
        configuration=configuration,
    )


def pid(maker: Maker) -> int:
    group = f"e{maker.key}-s-store"
    (status,) = Supervisor(maker.home).statuses(group, [f"{group}-0"])
    assert status.alive
    return status.pid


def quiet() -> Watch:
    return Watch(output=lambda _: None)


pytestmark = pytest.mark.usefixtures("templates")


@pytest.mark.parametrize(
    ("type", "before", "after"),
    [
        ("redis:7.0", {"maxmemory_policy": "allkeys-lru"}, {"maxmemory_policy": "noeviction"}),
        ("mariadb:10.11", {"properties": {"max_allowed_packet": 32}}, {"properties": {"max_allowed_packet": 64}}),
        ("postgresql:15", {"databases": ["one"]}, {"databases": ["one", "two"]}),
        ("rabbitmq:3.10", {"vhosts": ["one"]}, {"vhosts": ["one", "two"]}),
    ],
)
def test_a_new_configuration_does_not_restart_a_service_that_a_release_uses(
    local: Any, maker: Maker, type: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    spec = asked(maker, type, before)
    local.provision(spec, quiet())
    first = pid(maker)
    local.provision(replace(spec, configuration=after), quiet())
    assert pid(maker) == first
    assert unprivileged(engine_for(type).ready, spec, maker.home.sockets(maker.key))
    local.remove_service(spec)


def test_a_service_that_does_not_answer_is_started_as_it_is_asked_for_now(local: Any, maker: Maker) -> None:
    spec = asked(maker, "redis:7.0", {})
    local.provision(spec, quiet())
    moved = replace(spec, address=free_address(spec.port))
    group = f"e{maker.key}-s-store"
    Supervisor(maker.home).signal(group, [f"{group}-0"])
    Supervisor(maker.home).wait_ended(group, [f"{group}-0"], 20)
    description = next(maker.home.root.glob(f"environments/**/main-{maker.key}/services/store.json"))
    description.write_text("")  # as a power cut may leave it
    local.provision(moved, quiet())
    assert moved.address in description.read_text()
    assert pid(maker)
    local.remove_service(moved)


@pytest.mark.parametrize(
    ("type", "sent", "answer"),
    [("rabbitmq:3.10", b"AMQP\0\0\x09\x01", b"\x01"), ("memcached:1.6", b"version\r\n", b"VERSION")],
)
def test_queues_and_caches_answer_in_the_environments_network(
    local: Any, maker: Maker, type: str, sent: bytes, answer: bytes
) -> None:
    spec = asked(maker, type, {})
    local.provision(spec, quiet())
    with local.connect(spec.place, spec.address, spec.port) as link:
        link.sendall(sent)
        assert link.recv(20).startswith(answer)
    local.stop_service(spec)
    assert not local.answers(spec)


def test_what_has_no_password_is_not_offered_where_the_network_is_shared(local: Any, maker: Maker) -> None:
    maker.home.network.write_text("isolated\n")
    assert "memcached" in local.engines()
    maker.home.network.write_text("shared\nfor a test\n")
    assert "memcached" not in local.engines()
    assert "rabbitmq" in local.engines()
