"""The pages that show an environment's mail, with messages of the kind that nobody wants to open."""

import json
from email.message import EmailMessage
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from deployments.actions import environments as environment_actions
from deployments.mail import read, store
from deployments.models import Message
from environments.models import Environment
from portal.enums import EnvironmentRole, EnvironmentType
from portal.models import AuditEvent, User
from tests.deployments.mail.letters import PNG, letter, put
from tests.factories import EnvironmentFactory, MembershipFactory, member

pytestmark = pytest.mark.django_db

HOSTILE = (
    '<script>alert(1)</script><img src="https://tracker.example/1.gif" onerror="alert(2)">'
    '<form action="/account/logout/"><button>x</button></form><base href="https://evil.example/">'
    '<meta http-equiv="refresh" content="0;url=https://evil.example"><iframe src="/"></iframe><img src="cid:logo">'
)


@pytest.fixture
def environment() -> Environment:
    return EnvironmentFactory(branch="checkout")


@pytest.fixture
def owner(environment: Environment) -> User:
    return MembershipFactory(project=environment.project).user


@pytest.fixture
def visitor(client: Client, owner: User) -> Client:
    client.force_login(owner)
    return client


def url(name: str, environment: Environment, *more: int) -> str:
    return reverse(name, args=[environment.project_id, environment.name, *more])


def hostile(subject: str = "<script>x</script>") -> bytes:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = '"</b><img src=x onerror=alert(1)>" <a@b.example>'
    message["To"] = "c@d.example"
    message.set_content("</pre><script>alert(3)</script> \u202egnp.exe")
    message.add_alternative(HOSTILE, subtype="html")
    payload = message.get_payload()
    assert isinstance(payload, list)
    payload[1].add_related(PNG, "image", "png", cid="<logo>")
    message.add_attachment(b"<script>alert(4)</script>", maintype="text", subtype="html", filename="../../x\x07 .html")
    return bytes(message)


def test_messages_are_listed_found_and_shown(visitor: Client, environment: Environment) -> None:
    put(environment, letter("Your order 1042", html="<p>Thank you</p>", attachment=b"%PDF-1"))
    put(environment, letter("Reset your password"))
    listed = visitor.get(url("environment_mail", environment)).content.decode()
    assert listed.index("Reset your password") < listed.index("Your order 1042")
    found = visitor.get(url("environment_mail", environment), {"q": "order mara@example.org"}).content.decode()
    assert "Your order 1042" in found
    assert "Reset your password" not in found
    assert "Nothing found" in visitor.get(url("environment_mail", environment), {"q": "zebra"}).content.decode()
    message = Message.objects.get(subject="Your order 1042")
    page = visitor.get(url("mail_message", environment, message.pk)).content.decode()
    assert "invoice 1042.pdf" in page
    assert url("mail_html", environment, message.pk) in page
    assert (
        "Thank you for your order."
        in visitor.get(url("mail_message", environment, message.pk) + "?show=text").content.decode()
    )
    assert (
        "harbour.example"
        in visitor.get(url("mail_message", environment, message.pk) + "?show=headers").content.decode()
    )
    assert (
        "Content-Type: multipart"
        in visitor.get(url("mail_message", environment, message.pk) + "?show=source").content.decode()
    )
    download = visitor.get(url("mail_attachment", environment, message.pk, 0))
    assert b"".join(download) == b"%PDF-1"  # type: ignore[arg-type]
    source = visitor.get(url("mail_source", environment, message.pk))
    assert b"".join(source) == (store.files(message) / store.SOURCE).read_bytes()  # type: ignore[arg-type]


def test_an_empty_box_says_how_mail_gets_there(visitor: Client, environment: Environment) -> None:
    assert "PLATFORM_SMTP_HOST" in visitor.get(url("environment_mail", environment)).content.decode()


def test_a_hostile_message_stays_text(visitor: Client, environment: Environment) -> None:
    message = put(environment, hostile())
    pages = [visitor.get(url("environment_mail", environment))]
    pages += [
        visitor.get(url("mail_message", environment, message.pk) + f"?show={show}")
        for show in ("html", "text", "headers", "source", "odd")
    ]
    for answer in pages:
        page = answer.content.decode()
        assert answer.status_code == 200
        assert "<script>alert" not in page
        assert "<script>x" not in page
        assert "<img" not in page
        assert "\u202e" not in page


def test_html_is_shown_where_it_can_do_nothing(visitor: Client, environment: Environment) -> None:
    message = put(environment, hostile())
    page = visitor.get(url("mail_message", environment, message.pk))
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.content.decode()
    assert "not fetched" in page.content.decode()
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    frame = visitor.get(url("mail_html", environment, message.pk))
    policy = frame.headers["Content-Security-Policy"]
    directives = {part.split()[0]: part.split()[1:] for part in policy.split(";") if part.strip()}
    assert directives["default-src"] == ["'none'"]
    assert "script-src" not in directives
    assert directives["img-src"] == ["data:"]
    assert directives["sandbox"] == ["allow-popups", "allow-popups-to-escape-sandbox"]
    assert directives["frame-ancestors"] == ["'self'"]
    assert directives["form-action"] == ["'none'"]
    assert directives["base-uri"] == ["'none'"]
    assert frame.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert frame.headers["X-Content-Type-Options"] == "nosniff"
    assert b"data:image/png;base64," in frame.content


def test_attachments_are_only_downloaded(visitor: Client, environment: Environment) -> None:
    message = put(environment, hostile())
    names = [attachment.name for attachment in read.content(message).attachments]
    number = next(number for number, name in enumerate(names) if "html" in name)
    answer = visitor.get(url("mail_attachment", environment, message.pk, number))
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert ".." not in answer.headers["Content-Disposition"]
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert visitor.get(url("mail_attachment", environment, message.pk, 99)).status_code == 404


@pytest.mark.parametrize(
    "source",
    [
        b"",
        b"\0" * 1000,
        b"no header at all",
        b"Content-Type: multipart/mixed\r\n\r\n--x--",
        b"Content-Type: multipart/mixed; boundary=x\r\n\r\n" + b"--x\r\n\r\nhello\r\n" * 5000,
        b"Content-Type: text/plain; charset=no-such\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2000)),
        b"X: " + b"=?utf-8?q?" * 20000 + b"\r\n\r\n",
        b"Content-Type: text/html\r\n\r\n" + b"<div>" * 200_000,
    ],
    ids=range(9),
)
def test_broken_messages_are_shown_as_far_as_they_go(visitor: Client, environment: Environment, source: bytes) -> None:
    message = put(environment, source)
    for show in ("", "text", "source", "headers"):
        assert visitor.get(url("mail_message", environment, message.pk), {"show": show}).status_code == 200
    assert visitor.get(url("mail_html", environment, message.pk)).status_code in (200, 404)


def test_what_was_handed_on_has_no_text(visitor: Client, environment: Environment) -> None:
    message = put(environment)
    Message.objects.filter(pk=message.pk).update(state=Message.State.SENT)
    store.forget_text(message)
    assert "Handed on" in visitor.get(url("mail_message", environment, message.pk)).content.decode()
    for name in ("mail_html", "mail_source"):
        assert visitor.get(url(name, environment, message.pk)).status_code == 404


def test_a_failed_message_says_why_and_can_be_tried_again(
    visitor: Client, environment: Environment, settings: Any
) -> None:
    message = put(environment)
    Message.objects.filter(pk=message.pk).update(state=Message.State.FAILED, error="550 <b>No</b>")
    page = visitor.get(url("mail_message", environment, message.pk)).content.decode()
    assert "550 &lt;b&gt;No&lt;/b&gt;" in page
    assert "knows no mail server" in page
    assert visitor.post(url("mail_retry", environment, message.pk)).status_code == 409
    settings.SMTP_URL = "smtp://127.0.0.1:9"
    Environment.objects.update(sends_mail=True)
    assert visitor.post(url("mail_retry", environment, message.pk)).status_code == 302
    message.refresh_from_db()
    assert message.state == Message.State.QUEUED


def test_deleting_asks_first_and_leaves_nothing(
    visitor: Client, environment: Environment, django_capture_on_commit_callbacks: Any
) -> None:
    kept = [put(environment), put(environment)]
    assert "2 messages" in visitor.get(url("mail_delete", environment)).content.decode()
    assert Message.objects.count() == 2
    with django_capture_on_commit_callbacks(execute=True):
        assert visitor.post(url("mail_delete", environment)).status_code == 302
    assert Message.objects.count() == 0
    assert not list(store.folder(environment).iterdir())
    assert AuditEvent.objects.get(action="environment.mail_deleted").details == {"messages": len(kept)}


def test_mail_of_production_is_read_by_its_admins_alone(client: Client, environment: Environment) -> None:
    production = EnvironmentFactory(project=environment.project, branch="production", type=EnvironmentType.PRODUCTION)
    message = put(production, letter("Private"))
    reader = member(environment.project, production=EnvironmentRole.CONTRIBUTOR)
    client.force_login(reader)
    refused = client.get(url("environment_mail", production))
    assert refused.status_code == 403
    assert "Private" not in refused.content.decode()
    assert "personal data" in refused.content.decode()
    for name in ("mail_message", "mail_html", "mail_source"):
        assert client.get(url(name, production, message.pk)).status_code == 403
    client.force_login(member(environment.project, production=EnvironmentRole.ADMIN))
    assert "Private" in client.get(url("environment_mail", production)).content.decode()


def test_a_message_is_not_found_by_another_environments_pages(visitor: Client, environment: Environment) -> None:
    other = EnvironmentFactory(project=environment.project, branch="other")
    message = put(other)
    for name in ("mail_message", "mail_html", "mail_source"):
        assert visitor.get(url(name, environment, message.pk)).status_code == 404
        assert visitor.get(url(name, environment, 10**30)).status_code == 404


def test_the_setting_says_what_it_does_and_is_audited(visitor: Client, environment: Environment) -> None:
    page = visitor.get(url("environment_settings", environment)).content.decode()
    assert "SLIPWAY_SMTP_URL" in page
    save = reverse("environment_settings_save", args=[environment.project_id, environment.name, "mail"])
    assert visitor.post(save, {"on": "on"}).status_code == 302
    environment.refresh_from_db()
    assert environment.mail_is_on
    visitor.post(save, {})
    environment.refresh_from_db()
    assert not environment.mail_is_on
    assert [event.action for event in AuditEvent.objects.order_by("pk")] == [
        "environment.mail_on",
        "environment.mail_off",
    ]


def test_children_begin_as_their_parent_is_set_but_not_as_production(environment: Environment, owner: User) -> None:
    def child(parent: Environment, branch: str) -> Environment:
        return environment_actions.make_row(
            parent.project, branch=branch, type=EnvironmentType.INTEGRATION, parent=parent, commit="", by=owner
        )

    production = EnvironmentFactory(project=environment.project, branch="production", type=EnvironmentType.PRODUCTION)
    Environment.objects.update(sends_mail=True)
    for parent in (environment, production):
        parent.refresh_from_db()
    assert child(environment, "one").mail_is_on
    assert not child(production, "two").mail_is_on


def test_the_list_asks_the_database_as_often_for_many_as_for_few(
    visitor: Client, environment: Environment, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        put(environment)
    with django_assert_max_num_queries(10):
        visitor.get(url("environment_mail", environment))
    message = Message.objects.first()
    assert message is not None
    with django_assert_max_num_queries(10):
        visitor.get(url("mail_message", environment, message.pk))


def test_taking_apart_leaves_what_the_page_reads(environment: Environment) -> None:
    message = put(environment, letter(html="<p>x</p>", attachment=b"abc"))
    assert read.content(message) == read.content(message)
    told = json.loads((store.files(message) / "read.json").read_text())
    assert told["attachments"] == [{"name": "invoice 1042.pdf", "type": "application/pdf", "size": 3}]
