"""Handing messages on to the configured server: claimed in the database, and tried again for two days."""

import asyncio
import contextlib
import logging
import re
import smtplib
import ssl
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone

from deployments.mail import store
from deployments.models import Message
from deployments.models.message import MessageQuerySet

_LOST = timedelta(minutes=10)  # a message that is being sent for so long has lost its sender
_PAUSES = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 240, 480, 720, 1440))
_AT_ONCE = 2
_LOOK_SECONDS = 5.0
_TIMEOUT = 60.0
_LONGEST_ERROR = 2000

logger = logging.getLogger(__name__)


class Unusable(ValueError):
    """The URL of the server is none."""


@dataclass(frozen=True)
class Server:
    host: str
    port: int
    user: str
    password: str
    tls: str  # "always" from the first byte, "start" after a greeting, "offered" if it is, "never"

    @classmethod
    def read(cls, url: str) -> "Server":
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise Unusable("SLIPWAY_SMTP_URL must look like smtp://user:password@host:587 or smtps://host")
        options = parse_qs(parts.query, keep_blank_values=True)
        plain = "never" if "plain" in options else "start" if "starttls" in options or parts.password else "offered"
        tls = "always" if parts.scheme == "smtps" else plain
        port = parts.port or (465 if tls == "always" else 587 if parts.password else 25)
        return cls(parts.hostname, port, unquote(parts.username or ""), unquote(parts.password or ""), tls)

    def connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.tls == "always":
            link: smtplib.SMTP = smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT, context=context)
        else:
            link = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT)
        try:
            link.ehlo_or_helo_if_needed()
            if self.tls == "start" or (self.tls == "offered" and link.has_extn("starttls")):
                link.starttls(context=context)
            if self.user:
                link.login(self.user, self.password)
        except BaseException:
            link.close()
            raise
        return link


class End(Enum):
    SENT = "sent"
    FAILED = "failed"
    LATER = "later"


@dataclass(frozen=True)
class Outcome:
    end: End
    said: str = ""  # what went wrong, in the server's words; of one that was sent: for whom it was not taken


async def attend(wake: asyncio.Event) -> None:
    """Send what is due until cancelled; `wake` tells that something was just put in."""
    tasks: set[asyncio.Task[None]] = set()
    places = asyncio.Semaphore(_AT_ONCE)

    async def work() -> None:
        async with places:
            while await asyncio.to_thread(_in_thread):
                pass

    while True:
        try:
            if settings.SMTP_URL and await sync_to_async(_due().exists)() and len(tasks) < _AT_ONCE:
                task = asyncio.create_task(work())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
        except Exception:
            logger.exception("It could not be looked which messages are to be sent")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), _LOOK_SECONDS)
        wake.clear()


def _in_thread() -> bool:
    try:
        return send_next()
    except Exception:
        logger.exception("A message could not be sent")
        return False
    finally:
        close_old_connections()


def send_next() -> bool:
    """Send one message that is due; false when there is none."""
    message = _claim()
    if message is None:
        return False
    _finish(message, _send(message) if message.environment.mail_is_on else None)
    return True


def server_name() -> str:
    """Without what is secret in its URL."""
    try:
        server = Server.read(settings.SMTP_URL)
    except ValueError:
        return "the mail server"
    return f"{server.host}:{server.port}"


def _due() -> MessageQuerySet:
    waiting = [Message.State.QUEUED, Message.State.SENDING]
    return Message.objects.filter(state__in=waiting, due_at__lte=timezone.now())


def _claim() -> Message | None:
    for message in _due().order_by("due_at").select_related("environment")[:5]:
        mine = _due().filter(pk=message.pk, attempts=message.attempts)
        message.attempts += 1
        if mine.update(state=Message.State.SENDING, due_at=timezone.now() + _LOST, attempts=message.attempts):
            return message
    return None


def _send(message: Message) -> Outcome:
    try:
        source = (store.files(message) / store.SOURCE).read_bytes()
    except OSError as error:
        return Outcome(End.FAILED, f"Its text is gone: {error.strerror}")
    try:
        with Server.read(settings.SMTP_URL).connect() as link:
            wide = not all(address.isascii() for address in (message.sender, *message.recipients))
            options = ["smtputf8"] if wide and link.has_extn("smtputf8") else []
            # A line end of another kind could be the end of the message to some server behind this one.
            lines = re.sub(rb"\r\n|\r|\n", b"\r\n", source)
            refused = link.sendmail(message.sender, message.recipients, lines, mail_options=options)
    except smtplib.SMTPRecipientsRefused as error:
        useless = all(code >= 500 for code, _ in error.recipients.values())
        return Outcome(End.FAILED if useless else End.LATER, _refused(error.recipients))
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        said = f"{error.smtp_code} {_text(error.smtp_error)}"
        return Outcome(End.FAILED if error.smtp_code >= 500 else End.LATER, said)
    except UnicodeError:
        return Outcome(End.FAILED, f"{server_name()} takes no addresses with letters beyond ASCII.")
    except (OSError, smtplib.SMTPException, ValueError) as error:
        return Outcome(End.LATER, f"{server_name()} cannot be used: {error}")
    return Outcome(End.SENT, f"Not taken for {_refused(refused)}" if refused else "")


def _finish(message: Message, outcome: Outcome | None) -> None:
    """None: sending was switched off meanwhile."""
    changes: dict[str, Any] = {"state": Message.State.CAUGHT, "due_at": None}
    if outcome is not None:
        changes["error"] = outcome.said[:_LONGEST_ERROR]
        tired = message.attempts > len(_PAUSES)
        if outcome.end is End.LATER and not tired:
            again = timezone.now() + _PAUSES[message.attempts - 1]
            changes |= {"state": Message.State.QUEUED, "due_at": again}
        else:
            changes["state"] = Message.State.SENT if outcome.end is End.SENT else Message.State.FAILED
    claimed = Message.objects.filter(pk=message.pk, state=Message.State.SENDING, attempts=message.attempts)
    if claimed.update(**changes):
        if changes["state"] == Message.State.SENT:
            store.forget_text(message)
        store.tell(message.environment)


def _refused(recipients: dict[str, tuple[int, bytes]]) -> str:
    shown = [f"{address}: {code} {_text(said)}" for address, (code, said) in list(recipients.items())[:5]]
    more = len(recipients) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said
