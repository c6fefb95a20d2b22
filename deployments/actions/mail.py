"""What people do with the mail of an environment."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from deployments.mail import store
from deployments.models import Message
from environments import access
from environments.models import Environment
from portal import audit
from portal.enums import EnvironmentType
from portal.errors import Conflict
from portal.models import User
from portal.permissions import Permission


def check_reader(user: User, environment: Environment) -> None:
    """Messages are personal data: on Production only its admins read them. Raises Missing or Denied."""
    access.check(user, environment, needed(environment))


def needed(environment: Environment) -> Permission:
    production = environment.environment_type is EnvironmentType.PRODUCTION
    return Permission.OPERATE if production else Permission.SEE


def switch(environment: Environment, *, on: bool, by: User, address: str = "") -> None:
    """Whether its messages are handed on to the world. Those that wait are kept instead when it is switched off."""
    access.check(by, environment, Permission.OPERATE)
    with transaction.atomic():
        current = Environment.objects.select_for_update().get(pk=environment.pk)
        if current.mail_is_on == on:
            return
        Environment.objects.filter(pk=environment.pk).update(sends_mail=on)
        waiting = Message.objects.filter(environment=environment, state=Message.State.QUEUED)
        kept = 0 if on else waiting.update(state=Message.State.CAUGHT, due_at=None)
        audit.record(
            "environment.mail_on" if on else "environment.mail_off",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            kept=kept,
        )
        transaction.on_commit(lambda: store.tell(environment))
    environment.sends_mail = on


def delete_all(environment: Environment, *, by: User, address: str = "") -> int:
    """Remove every message but those on their way out; returns how many."""
    access.check(by, environment, Permission.OPERATE)
    found = Message.objects.filter(environment=environment).select_related("environment")
    messages = list(found.exclude(state__in=[Message.State.QUEUED, Message.State.SENDING]))
    with transaction.atomic():
        audit.record(
            "environment.mail_deleted",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            messages=len(messages),
        )
        Message.objects.filter(pk__in=[message.pk for message in messages]).delete()
        transaction.on_commit(lambda: _gone(environment, messages))
    return len(messages)


def try_again(message: Message, *, by: User, address: str = "") -> None:
    """Send what could not be sent. Raises Conflict when it did not fail, or when nothing is sent now."""
    environment = message.environment
    access.check(by, environment, Permission.OPERATE)
    why_not = cannot_try_again(message)
    if why_not:
        raise Conflict(why_not)
    with transaction.atomic():
        failed = Message.objects.filter(pk=message.pk, state=Message.State.FAILED)
        if not failed.update(state=Message.State.QUEUED, due_at=timezone.now(), attempts=0):
            raise Conflict("Only a message that failed can be sent again.")
        audit.record(
            "environment.mail_retried",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            message=message.pk,
        )
        transaction.on_commit(lambda: store.tell(environment))


def cannot_try_again(message: Message) -> str:
    if message.state != Message.State.FAILED:
        return "Only a message that failed can be sent again."
    if not settings.SMTP_URL:
        return "This Slipway knows no mail server to send it through."
    if not message.environment.mail_is_on:
        return "Sending is switched off for this environment."
    return ""


def _gone(environment: Environment, messages: list[Message]) -> None:
    for message in messages:
        store.forget_text(message)
    store.tell(environment)
