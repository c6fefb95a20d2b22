"""What programs of environments meet when they hand over mail, spoken to by real SMTP clients."""

import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from deployments.mail import server, store
from deployments.mail.server import Box
from deployments.models import Message
from environments.models import Environment
from tests.factories import EnvironmentFactory

from .letters import letter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def environment() -> Environment:
    return EnvironmentFactory(branch="checkout")


@contextmanager
def serving(box: Box) -> Iterator[int]:
    """The port of 127.0.0.1 at which the box takes mail."""
    listening = socket.create_server(("127.0.0.1", 0))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = asyncio.run_coroutine_threadsafe(loop.create_server(box.connect, sock=listening), loop).result(10)
    try:
        yield listening.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(made.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)


@pytest.fixture
def port(environment: Environment) -> Iterator[int]:
    with serving(Box(environment.pk)) as port:
        yield port


def client(port: int) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", port, timeout=20)


def texts(environment: Environment) -> list[bytes]:
    kept = Message.objects.filter(environment=environment).order_by("pk")
    return [(store.files(message) / store.SOURCE).read_bytes() for message in kept]


def nothing_half_made(environment: Environment) -> bool:
    return not list(store.folder(environment).glob("new-*"))


def test_a_message_is_kept_as_it_came(environment: Environment, port: int) -> None:
    with client(port) as link:
        assert link.sendmail("shop@harbour.example", ["a@example.org", "b@example.org"], letter()) == {}
    (message,) = Message.objects.all()
    assert (message.environment, message.state) == (environment, Message.State.CAUGHT)
    assert (message.sender, message.recipients) == ("shop@harbour.example", ["a@example.org", "b@example.org"])
    assert message.subject == "Your order 1042"
    assert message.author == "Harbour Coffee <shop@harbour.example>"
    assert message.addressees == "Mara Okafor <mara@example.org>"
    (text,) = texts(environment)
    assert text.replace(b"\r\n", b"\n").strip() == letter().strip()
    assert message.size == len(text)
    assert nothing_half_made(environment)
    assert (store.files(message) / store.SOURCE).stat().st_mode & 0o077 == 0


def test_an_app_that_signs_in_is_let_in(environment: Environment, port: int) -> None:
    with client(port) as link:
        link.login("anybody", "anything")
        link.sendmail("a@b.example", ["c@d.example"], letter())
    assert Message.objects.count() == 1


def test_dots_and_long_lines_survive(environment: Environment, port: int) -> None:
    body = b"Subject: odd\r\n\r\n.\r\n..\r\n.begins\r\n" + b"x" * 300_000 + b"\r\n.\r\nlast"
    with client(port) as link:
        link.sendmail("a@b.example", ["c@d.example"], body)
    assert texts(environment) == [body + b"\r\n"]


def test_a_message_over_the_limit_is_refused_and_the_next_one_taken(
    environment: Environment, port: int, settings: Any
) -> None:
    settings.MAIL_MAX_BYTES = 1_000_000
    with client(port) as link:
        link.ehlo()
        link.mail("a@b.example")  # without its SIZE, which would be refused at once
        link.rcpt("c@d.example")
        code, said = link.data(b"Subject: big\r\n\r\n" + b"y" * 2_000_000)
        assert (code, b"1000000" in said) == (552, True)
        assert link.sendmail("a@b.example", ["c@d.example"], letter("small")) == {}
    assert [message.subject for message in Message.objects.all()] == ["small"]
    assert nothing_half_made(environment)


def test_ten_thousand_recipients_are_not_taken(environment: Environment, port: int) -> None:
    with client(port) as link:
        link.ehlo()
        link.mail("a@b.example")
        answers = [link.rcpt(f"p{number}@example.org")[0] for number in range(1100)]
        assert answers.count(250) == 1000
        assert set(answers[1000:]) == {452}
        assert link.data(letter())[0] == 250
    assert len(Message.objects.get().recipients) == 1000


@pytest.mark.parametrize("address", ["<a@b.example>\r\nRCPT TO:<x@y>", "a b@c.example", "x" * 300 + "@d.example", "<>"])
def test_what_is_no_address_is_refused(port: int, address: str) -> None:
    with client(port) as link:
        link.ehlo()
        link.mail("a@b.example")
        with suppress(ValueError):  # smtplib itself sends no line ends
            link.putcmd("rcpt", f"TO:{address}")
            assert link.getreply()[0] >= 500


def test_a_client_that_leaves_in_the_middle_leaves_nothing(environment: Environment, port: int) -> None:
    with client(port) as link:
        link.ehlo()
        link.mail("a@b.example")
        link.rcpt("c@d.example")
        link.docmd("DATA")
        link.send(b"Subject: half\r\n\r\nno end")
        link.close()
    with client(port) as link:
        link.sendmail("a@b.example", ["c@d.example"], letter("after"))
    assert [message.subject for message in Message.objects.all()] == ["after"]
    for _ in range(600):
        if nothing_half_made(environment):
            break
        threading.Event().wait(0.05)
    assert nothing_half_made(environment)


def test_too_many_messages_at_once_are_put_off(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_BURST", 3.0)
    monkeypatch.setattr(server, "_RATE", 0.0)
    with serving(Box(environment.pk)) as port, client(port) as link:
        for _ in range(3):
            link.sendmail("a@b.example", ["c@d.example"], letter())
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            link.sendmail("a@b.example", ["c@d.example"], letter())
    assert Message.objects.count() == 3


def test_too_many_connections_are_told_so(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)
    told = pytest.raises(smtplib.SMTPConnectError, match="421")
    with serving(Box(environment.pk)) as port, client(port), client(port), told:
        client(port)
    assert Message.objects.count() == 0


def test_only_the_newest_are_kept(environment: Environment, port: int, settings: Any) -> None:
    settings.MAIL_KEPT = 3
    with client(port) as link:
        for number in range(6):
            link.sendmail("a@b.example", ["c@d.example"], letter(f"number {number}"))
    assert [message.subject for message in Message.objects.all()] == ["number 5", "number 4", "number 3"]
    assert len(list(store.folder(environment).iterdir())) == 3
    settings.MAIL_KEPT_BYTES = 2 * Message.objects.first().size  # type: ignore[union-attr]
    with client(port) as link:
        link.sendmail("a@b.example", ["c@d.example"], letter("number 6"))
    assert [message.subject for message in Message.objects.all()] == ["number 6", "number 5"]


def test_mail_of_an_environment_that_is_gone_is_refused(environment: Environment, port: int) -> None:
    environment.delete()
    with client(port) as link, pytest.raises(smtplib.SMTPDataError, match="550"):
        link.sendmail("a@b.example", ["c@d.example"], letter())


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"Subject: =?utf-8?b?w5xiZXI=?= us", "Über us"),
        (b"Subject: =?no-such-charset?b?w5xiZXI=?=", "=?no-such-charset?b?w5xiZXI=?="),
        (b"Subject: one\r\n two\x07\x1b[31m", "one two [31m"),
        (b"Subject: \xff\xfe raw", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} raw"),
        (b"Subject: " + b"z" * 5000, "z" * 300),
        (b"X-Nothing: here", ""),
    ],
)
def test_odd_headers_are_shown_as_one_plain_line(environment: Environment, port: int, raw: bytes, shown: str) -> None:
    with client(port) as link:
        link.sendmail("a@b.example", ["c@d.example"], raw + b"\r\n\r\nbody")
    assert Message.objects.get().subject == shown


def test_what_a_killed_process_left_is_removed(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    from .letters import put

    kept = put(environment)
    stray = store.folder(environment) / "999999"
    stray.mkdir()
    (store.folder(environment) / "new-abc").write_bytes(b"half")
    store.tidy()
    assert stray.exists()  # it may be a message that is being kept this moment
    monkeypatch.setattr(store, "_FORGOTTEN", store._FORGOTTEN * 0)
    store.tidy()
    assert [path.name for path in store.folder(environment).iterdir()] == [str(kept.pk)]
