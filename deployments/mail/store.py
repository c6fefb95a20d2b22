"""Keeping messages: a row each, and a folder with its text below the environment's own, which goes when that goes."""

import contextlib
import email.header
import email.parser
import email.policy
import re
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from deployments import live
from deployments.models import Message
from environments.models import Environment

SOURCE = "message.eml"
EVENT = "mail"
_HEAD = 64 * 1024  # bytes of a message that headers are looked for in
_MOST_WAITING = 5000
_FORGOTTEN = timedelta(hours=1)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class Refused(Exception):
    """The answer to the program that sends, with SMTP's code."""


@dataclass(frozen=True)
class Envelope:
    sender: str
    recipients: Sequence[str]


def folder(environment: Environment) -> Path:
    return settings.HOME.mail(environment.project_id, environment.machine_name)


def files(message: Message) -> Path:
    return folder(message.environment) / str(message.pk)


def begin(environment_pk: int) -> Path:
    """A file to write a message into. Raises Refused."""
    environment = Environment.objects.filter(pk=environment_pk).first()
    if environment is None:
        raise Refused("550 5.7.1 This environment is gone")
    if Message.objects.filter(environment=environment, state=Message.State.QUEUED).count() >= _MOST_WAITING:
        raise Refused("452 4.3.1 Too many messages wait to be sent")
    path = folder(environment) / f"new-{secrets.token_hex(8)}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def keep(environment_pk: int, envelope: Envelope, path: Path) -> Message:
    """Record the message that `path` holds; the file is moved. Raises Refused."""
    environment = Environment.objects.select_related("project").filter(pk=environment_pk).first()
    if environment is None:
        raise Refused("550 5.7.1 This environment is gone")
    headers = _headers(path)
    sends = environment.mail_is_on and bool(settings.SMTP_URL)
    with transaction.atomic():
        message = Message.objects.create(
            environment=environment,
            sender=envelope.sender,
            recipients=list(envelope.recipients),
            subject=headers["Subject"][:300],
            author=(headers["From"] or envelope.sender)[:300],
            addressees=(headers["To"] or ", ".join(envelope.recipients[:20]))[:1000],
            size=path.stat().st_size,
            state=Message.State.QUEUED if sends else Message.State.CAUGHT,
            due_at=timezone.now() if sends else None,
        )
        target = files(message)
        target.mkdir(mode=0o700)
        path.rename(target / SOURCE)
        transaction.on_commit(lambda: tell(environment))
    _make_room(environment)
    return message


def remove(messages: Sequence[Message]) -> None:
    Message.objects.filter(pk__in=[message.pk for message in messages]).delete()
    for message in messages:
        shutil.rmtree(files(message), ignore_errors=True)


def forget_text(message: Message) -> None:
    shutil.rmtree(files(message), ignore_errors=True)


def tell(environment: Environment) -> None:
    live.publish(f"project:{environment.project_id}", EVENT)


def tidy() -> None:
    """Remove what a killed process left: folders without a row, messages half received."""
    for top in settings.HOME.mail("x", "y").parent.parent.parent.glob("*/*/mail"):
        found = {path.name: path for path in top.iterdir()}
        numbers = [int(name) for name in found if name.isdigit()]
        known = set(Message.objects.filter(pk__in=numbers).values_list("pk", flat=True))
        for name, path in found.items():
            if not (name.isdigit() and int(name) in known) and _age(path) > _FORGOTTEN:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _make_room(environment: Environment) -> None:
    """The oldest go first; what still waits to be sent stays."""
    kept = Message.objects.filter(environment=environment).select_related("environment")
    done = kept.exclude(state__in=[Message.State.QUEUED, Message.State.SENDING])
    remove(list(done[settings.MAIL_KEPT :]))
    total = kept.aggregate(total=Sum("size"))["total"] or 0
    while total > settings.MAIL_KEPT_BYTES:
        oldest = done.last()
        if oldest is None:
            return
        total -= oldest.size
        remove([oldest])


def _headers(path: Path) -> dict[str, str]:
    """Decoded texts of the headers that lists show; each is one line without control characters."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    parsed = email.parser.BytesHeaderParser(policy=email.policy.compat32).parsebytes(head)
    return {name: _decoded(str(parsed.get(name, ""))) for name in ("Subject", "From", "To")}


def _decoded(text: str) -> str:
    with contextlib.suppress(ValueError, LookupError):  # an encoding that does not exist, or text that is not in it
        text = str(email.header.make_header(email.header.decode_header(text[:8000])))
    clean = text.encode("utf-8", "replace").decode()
    return " ".join(_CONTROL.sub(" ", clean).split())


def _age(path: Path) -> timedelta:
    try:
        return timedelta(seconds=timezone.now().timestamp() - path.stat().st_mtime)
    except FileNotFoundError:
        return timedelta()
