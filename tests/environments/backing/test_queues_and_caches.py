"""RabbitMQ and Memcached, asked as applications ask them. Real servers, in the sandboxes that the product starts."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
import pytest

from environments.backing import engine_for, installed
from portal.errors import Invalid

from . import servers
from .conftest import MakeServer
from .servers import Server


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    assert {"rabbitmq", "memcached"} <= installed().keys(), "the launcher's packages name the servers to install"


@contextmanager
def link(entry: dict[str, Any], vhost: str = "/", **other: str) -> Iterator[amqp.Connection]:
    given = {"userid": entry["username"], "password": entry["password"], **other}
    with amqp.Connection(f"{entry['ip']}:{entry['port']}", virtual_host=vhost, connect_timeout=5, **given) as made:
        yield made


def put(entry: dict[str, Any], text: str, vhost: str = "/") -> None:
    with link(entry, vhost) as connection:
        channel = connection.channel()
        channel.queue_declare("jobs", durable=True, auto_delete=False)
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message(text, delivery_mode=2), routing_key="jobs")


def got(entry: dict[str, Any], vhost: str = "/") -> str | None:
    with link(entry, vhost) as connection:
        message = connection.channel().basic_get("jobs", no_ack=True)
        return message.body if message else None


@pytest.fixture
def rabbit(make_server: MakeServer) -> Iterator[Server]:
    server = make_server("rabbitmq:3.12", {"vhosts": ["shop"]})
    try:
        server.create()
        server.start(confined=True)
        server.configure()
        yield server
    finally:
        servers.kill(server)


def test_rabbitmq_keeps_messages_over_a_kill_and_lets_in_only_its_user(rabbit: Server) -> None:
    entry = rabbit.relationship()
    assert (entry["scheme"], entry["rel"], entry["path"], entry["port"]) == ("amqp", "rabbitmq", None, 5672)
    for name, password in (("guest", "guest"), (entry["username"], "wrong")):
        with pytest.raises(amqp.AccessRefused), link(entry, userid=name, password=password):
            pass
    put(entry, "kept")
    put(entry, "of shop", "shop")
    rabbit.reconfigured(configuration={"vhosts": ["other"]})  # while it runs
    rabbit.create()
    rabbit.configure()
    rabbit.configure()
    put(entry, "new", "other")
    with pytest.raises((amqp.NotAllowed, amqp.AccessRefused)), link(entry, "shop"):
        pass
    servers.kill(rabbit)
    assert not rabbit.is_ready()
    rabbit.reconfigured(configuration={"vhosts": ["shop"]})
    rabbit.create()
    rabbit.start(confined=True)
    rabbit.configure()
    assert (got(entry), got(entry, "shop")) == ("kept", "of shop")  # nothing was taken away
    assert rabbit.stop() == 0


def test_a_copy_of_rabbitmq_has_the_messages_and_its_own_password(rabbit: Server, make_server: MakeServer) -> None:
    put(rabbit.relationship(), "kept")
    copy = make_server("rabbitmq:3.12")
    servers.kill(rabbit)
    copy.data.parent.mkdir(parents=True)
    rabbit.data.rename(copy.data)
    servers.give_away(copy.data.parent.parent)
    servers.give_away(copy.data.parent)
    servers.unprivileged(copy.engine.adopt, copy.spec, copy.data)
    copy.create()
    copy.start(confined=True)
    copy.configure()
    assert got(copy.relationship()) == "kept"
    with pytest.raises(amqp.AccessRefused), link(copy.relationship(), password=rabbit.spec.secrets["application"]):
        pass


def test_bad_virtual_hosts_are_refused() -> None:
    for given in ({"vhosts": ["a/b"]}, {"vhosts": [f"h{n}" for n in range(40)]}, {"vhosts": "x"}, {"plugins": []}):
        with pytest.raises(Invalid):
            engine_for("rabbitmq").check(given)
    assert "endpoints are ignored" in engine_for("rabbitmq").check({"endpoints": {"x": {}}})[0]


def test_memcached_answers_on_its_own_address_alone(make_server: MakeServer) -> None:
    server = make_server("memcached:1.6")
    server.create()
    assert not server.is_ready()
    server.start(confined=True)
    entry = server.relationship()
    assert (entry["scheme"], entry["port"], entry["username"], entry["password"]) == ("memcached", 11211, None, None)
    with socket.create_connection((entry["ip"], entry["port"]), timeout=5) as connection:
        connection.sendall(b"set a 0 0 5\r\nhello\r\nget a\r\n")
        said = b""
        deadline = time.monotonic() + 10
        while b"END" not in said and time.monotonic() < deadline:
            said += connection.recv(200)
    assert said == b"STORED\r\nVALUE a 0 5\r\nhello\r\nEND\r\n"
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", 11211), timeout=5)
    server.stop()
    assert not server.is_ready()
    server.start(confined=True)  # again, beside what the first run left
    with pytest.raises(Invalid):
        engine_for("memcached").check({"size": 3})
