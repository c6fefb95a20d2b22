"""Who may be on the hosts of an environment now: members by a session that is handed over, others by HTTP access."""

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import timedelta
from functools import lru_cache

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core import signing
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from environments import access
from environments.actions.http_access import holding
from environments.http_access import Policy, Verdict, decide
from environments.models import Environment, Visit
from portal import sessions
from portal.models import User
from portal.permissions import Permission

COOKIE = "slipway_visit"
TOKEN_LIFE = timedelta(seconds=60)
VISIT_LIFE = timedelta(hours=12)
# Wrong passwords in a minute: from one address, and from all of them together. Those who gave the right one lately are
# not kept out by the others.
WRONG_BY_ADDRESS = 10
WRONG_BY_ALL = 60
_MINUTE = 60  # seconds
_REMEMBERED = 3600  # seconds that a right password need not be hashed again
_LOGIN = "login."  # begins a cookie that stands for a login; others are secrets of visits
_SALT = "environments.visits.login"


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


def admits(environment_pk: int, *, cookie: str, authorization: str, address: str) -> bool:
    """Whether someone who comes with this may be on the environment's hosts, for whoever answers there in its place:
    `cookie` is the value of COOKIE, `authorization` the header, `address` the visitor's as the edge says it."""
    return judge(environment_pk, cookie=cookie, authorization=authorization, address=address).welcome


def judge(environment_pk: int, *, cookie: str, authorization: str, address: str) -> Verdict:
    """As `admits`, and what else nginx must know. Nothing is asked that the decision does not need."""
    environment = Environment.objects.select_related("project").filter(pk=environment_pk).first()
    if environment is None:
        return Verdict(False)
    policy, public = holding(environment).policy, environment.is_public
    verdict = decide(policy, public=public, address=address)
    if verdict.welcome:
        return verdict
    if cookie.startswith(_LOGIN):
        if policy is not None and _is_login_cookie(environment_pk, policy, cookie):
            return Verdict(True)
    elif cookie and is_welcome(environment_pk, cookie):
        return Verdict(True)
    if policy is None or not authorization:
        return verdict
    login, wait = _is_login(environment_pk, policy, authorization, address)
    return decide(policy, public=public, address=address, login=login, wait=wait)


def login_cookie(environment_pk: int, *, authorization: str, address: str) -> tuple[str | None, Verdict]:
    """What a browser gets for the name and password of a login, so that it is not asked on every page; None when they
    are wrong. Raises nothing: what the verdict asks for is the answer then."""
    environment = Environment.objects.filter(pk=environment_pk).first()
    policy = holding(environment).policy if environment is not None else None
    if environment is None or policy is None:
        return None, Verdict(False)
    login, wait = _is_login(environment_pk, policy, authorization, address) if authorization else (False, False)
    if not login:
        return None, decide(policy, public=False, address="", wait=wait)
    name, _ = _credentials(authorization) or ("", "")
    said = [environment_pk, name, _digest(policy.logins[name])]
    return _LOGIN + signing.dumps(said, salt=_SALT), Verdict(True, by_login=True)


def _is_login_cookie(environment_pk: int, policy: Policy, cookie: str) -> bool:
    """It ends with the login, with its password, and after a while."""
    try:
        pk, name, digest = signing.loads(cookie.removeprefix(_LOGIN), salt=_SALT, max_age=VISIT_LIFE)
    except (signing.BadSignature, ValueError, TypeError):
        return False
    hashed = policy.logins.get(name)
    return pk == environment_pk and hashed is not None and hmac.compare_digest(_digest(hashed), digest)


def _is_login(environment_pk: int, policy: Policy, authorization: str, address: str) -> tuple[bool, bool]:
    """(name and password are those of a login, they were not looked at after too many wrong ones).

    Hashes are slow on purpose, so answers are remembered, under keys that are made of the stored hash too: once a
    password is changed or its login removed, nothing remembered fits any more.
    """
    given = _credentials(authorization)
    if given is None or not policy.logins:
        return False, False
    name, password = given
    hashed = policy.logins.get(name, "")
    key = hmac.new(settings.SECRET_KEY.encode(), f"{name}\0{password}\0{hashed}".encode(), hashlib.sha256).hexdigest()
    known = cache.get(f"http-login:{environment_pk}:{key}")
    if known is not None:
        return bool(known), False
    counters = {
        f"http-wrong:{environment_pk}:{address}": WRONG_BY_ADDRESS,
        f"http-wrong:{environment_pk}": WRONG_BY_ALL,
    }
    if any(cache.get(counter, 0) >= limit for counter, limit in counters.items()):
        return False, True
    right = check_password(password, hashed) if hashed else _take_the_same_time(password)
    cache.set(f"http-login:{environment_pk}:{key}", right, _REMEMBERED if right else _MINUTE)
    if not right:
        for counter in counters:
            if not cache.add(counter, 1, _MINUTE):
                cache.incr(counter)
    return right, False


def _take_the_same_time(password: str) -> bool:
    """Whether a name exists shall not be told by the clock."""
    check_password(password, _nobodys())
    return False


@lru_cache(maxsize=1)
def _nobodys() -> str:
    return make_password(secrets.token_urlsafe())


def _credentials(authorization: str) -> tuple[str, str] | None:
    """Name and password of a Basic header."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > 2000:
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon else None
