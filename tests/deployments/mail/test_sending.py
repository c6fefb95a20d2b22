"""Handing messages on to a mail server, a real one of aiosmtpd's on loopback."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.utils import timezone

from deployments.actions import mail as actions
from deployments.mail import sending, store
from deployments.mail.sending import Server, Unusable
from deployments.models import Message
from environments.models import Environment
from portal.enums import EnvironmentType
from tests.environments.runtimes.make import free_port
from tests.factories import EnvironmentFactory, MembershipFactory

from .letters import letter, put

pytestmark = pytest.mark.django_db(transaction=True)


class Relay:
    """Keeps what it gets; answers as told."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.data_answer = "250 OK"
        self.refused: dict[str, str] = {}

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.data_answer.startswith("2"):
            self.got.append(envelope)
        return self.data_answer


@pytest.fixture
def relay(settings: Any) -> Iterator[Relay]:
    relay = Relay()
    controller = Controller(relay, hostname="127.0.0.1", port=free_port())
    controller.start()
    settings.SMTP_URL = f"smtp://127.0.0.1:{controller.port}?plain"
    yield relay
    controller.stop()


@pytest.fixture
def production() -> Environment:
    return EnvironmentFactory(branch="production", type=EnvironmentType.PRODUCTION)


def now_due(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(due_at=timezone.now() - timedelta(seconds=1))


def test_production_sends_and_keeps_no_text(relay: Relay, production: Environment) -> None:
    message = put(production, letter("Hello"), ("a@example.org", "b@example.org"))
    assert message.state == Message.State.QUEUED
    assert sending.send_next()
    assert not sending.send_next()
    (envelope,) = relay.got
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@harbour.example", ["a@example.org", "b@example.org"])
    assert b"Thank you for your order." in envelope.content
    message.refresh_from_db()
    assert (message.state, message.error, message.due_at) == (Message.State.SENT, "", None)
    assert not store.files(message).exists()


def test_others_send_nothing_unless_they_are_told_to(relay: Relay) -> None:
    environment = EnvironmentFactory(branch="work")
    assert put(environment).state == Message.State.CAUGHT
    assert not sending.send_next()
    owner = MembershipFactory(project=environment.project).user
    actions.switch(environment, on=True, by=owner)
    assert put(environment).state == Message.State.QUEUED
    assert sending.send_next()
    assert len(relay.got) == 1


def test_without_a_server_production_keeps_its_mail(production: Environment, settings: Any) -> None:
    settings.SMTP_URL = ""
    assert put(production).state == Message.State.CAUGHT


def test_what_waits_is_kept_when_sending_is_switched_off(relay: Relay, production: Environment) -> None:
    first = put(production)
    owner = MembershipFactory(project=production.project).user
    actions.switch(production, on=False, by=owner)
    first.refresh_from_db()
    assert (first.state, first.due_at) == (Message.State.CAUGHT, None)
    assert not sending.send_next()
    assert relay.got == []


def test_a_server_that_is_away_is_asked_again_until_it_is_given_up(
    relay: Relay, production: Environment, settings: Any
) -> None:
    there = settings.SMTP_URL
    settings.SMTP_URL = "smtp://127.0.0.1:9?plain"
    message = put(production)
    assert sending.send_next()
    message.refresh_from_db()
    assert message.state == Message.State.QUEUED
    assert "127.0.0.1:9 cannot be used" in message.error
    assert message.due_at is not None
    assert message.due_at > timezone.now()
    assert not sending.send_next()
    settings.SMTP_URL = there
    now_due(message)
    assert sending.send_next()
    message.refresh_from_db()
    assert (message.state, message.attempts) == (Message.State.SENT, 2)


def test_after_two_days_of_trying_it_has_failed_and_can_be_tried_again(relay: Relay, production: Environment) -> None:
    relay.data_answer = "451 4.3.0 Later"
    message = put(production)
    for _ in range(20):
        now_due(message)
        if not sending.send_next():
            break
    message.refresh_from_db()
    assert message.state == Message.State.FAILED
    assert message.attempts == 9
    assert "Later" in message.error
    relay.data_answer = "250 OK"
    actions.try_again(message, by=MembershipFactory(project=production.project).user)
    assert sending.send_next()
    message.refresh_from_db()
    assert message.state == Message.State.SENT


def test_what_the_server_will_never_take_has_failed_at_once(relay: Relay, production: Environment) -> None:
    relay.data_answer = "554 5.7.1 Looks like spam"
    message = put(production)
    assert sending.send_next()
    message.refresh_from_db()
    assert (message.state, message.error) == (Message.State.FAILED, "554 5.7.1 Looks like spam")


def test_recipients_that_are_not_taken_are_named(relay: Relay, production: Environment) -> None:
    relay.refused = {"gone@example.org": "550 5.1.1 No such user"}
    message = put(production, letter(), ("a@example.org", "gone@example.org"))
    assert sending.send_next()
    message.refresh_from_db()
    assert message.state == Message.State.SENT
    assert message.error == "Not taken for gone@example.org: 550 5.1.1 No such user"
    alone = put(production, letter(), ("gone@example.org",))
    assert sending.send_next()
    alone.refresh_from_db()
    assert alone.state == Message.State.FAILED


def test_a_message_whose_sender_was_killed_is_sent_by_the_next(relay: Relay, production: Environment) -> None:
    message = put(production)
    assert sending._claim() is not None
    assert not sending.send_next()  # somebody is at it
    now_due(message)
    assert sending.send_next()
    assert len(relay.got) == 1


def test_two_senders_never_send_one_message(relay: Relay, production: Environment) -> None:
    put(production)
    assert [sending._claim() is not None for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example", Server("mail.example", 25, "", "", "offered")),
        ("smtp://u:p%40ss@mail.example", Server("mail.example", 587, "u", "p@ss", "start")),
        ("smtps://u:p@mail.example", Server("mail.example", 465, "u", "p", "always")),
        ("smtp://mail.example:2525?plain", Server("mail.example", 2525, "", "", "never")),
    ],
)
def test_the_servers_url_is_understood(url: str, server: Server) -> None:
    assert Server.read(url) == server


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example:25", "smtp://host:port"])
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises((Unusable, ValueError)):
        Server.read(url)
