"""Handing a portal session over to the host of an environment that is not public."""

import hashlib
import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from environments import access
from environments.models import Environment, Visit
from portal import sessions
from portal.models import User
from portal.permissions import Permission

TOKEN_LIFE = timedelta(seconds=60)
VISIT_LIFE = timedelta(hours=12)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def begin(*, by: User, environment: Environment, session_key: str) -> str:
    """A one-time token, good for a minute, with which the person may enter. Raises Missing for who may not see it."""
    access.check(by, environment, Permission.SEE)
    token = secrets.token_urlsafe(32)
    Visit.objects.filter(created_at__lt=timezone.now() - VISIT_LIFE).delete()
    Visit.objects.create(environment=environment, user=by, session_key=session_key, token_hash=_digest(token))
    return token


def enter(environment_pk: int, token: str) -> str | None:
    """Trade the token for the secret that the cookie holds; None when it is used up, too old or for another place."""
    secret = secrets.token_urlsafe(32)
    now = timezone.now()
    with transaction.atomic():
        entered = Visit.objects.filter(
            environment_id=environment_pk,
            token_hash=_digest(token),
            entered_at__isnull=True,
            created_at__gte=now - TOKEN_LIFE,
        ).update(entered_at=now, cookie_hash=_digest(secret))
        if entered:
            Environment.objects.filter(pk=environment_pk).update(visited_at=now)
    return secret if entered else None


def is_welcome(environment_pk: int, secret: str) -> bool:
    """Whether the holder of the cookie may be there now: same place, session alive, right still held."""
    now = timezone.now()
    visit = (
        Visit.objects.select_related("user", "environment__project")
        .filter(environment_id=environment_pk, cookie_hash=_digest(secret), created_at__gte=now - VISIT_LIFE)
        .first()
    )
    if visit is None or sessions.signed_in(visit.session_key) != visit.user:
        return False
    return access.can(visit.user, visit.environment, Permission.SEE)
