"""What the ssh process asks the database, in threads of its own: who has this key, and what may they still do."""

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from django.db import close_old_connections
from django.db.models import Q
from django.utils import timezone

from deployments.actions import ssh_sessions
from deployments.actions.ssh_sessions import Way
from deployments.ssh import commands
from environments import access
from portal.errors import Conflict, Missing
from portal.models import SSHKey, User

MIN_RSA_BITS = 3072
_USED_EVERY = timedelta(minutes=1)
_WAKING = 30.0  # seconds that somebody waits for a paused environment
_LOOK = 0.2

T = TypeVar("T")
_threads = ThreadPoolExecutor(8, thread_name_prefix="ssh-database")
_leisurely = ThreadPoolExecutor(4, thread_name_prefix="ssh-pushes")
_entering = ThreadPoolExecutor(6, thread_name_prefix="ssh-entering")


@dataclass(frozen=True)
class Person:
    user_id: int
    name: str
    key_id: int


async def ask(question: Callable[..., T], *arguments: object) -> T:
    """Call what uses the database without holding up the connections."""
    return await _call(_threads, question, arguments)


async def ask_at_leisure(question: Callable[..., T], *arguments: object) -> T:
    """The same for what looks into repositories: minutes for a large push, in which others want to sign in."""
    return await _call(_leisurely, question, arguments)


async def ask_to_enter(question: Callable[..., T], *arguments: object) -> T:
    """The same for what makes and removes sandboxes and connections into environments: a tenth of a second, or more."""
    return await _call(_entering, question, arguments)


async def _call(threads: ThreadPoolExecutor, question: Callable[..., T], arguments: Iterable[object]) -> T:
    def call() -> T:
        try:
            return question(*arguments)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(threads, call)


def by_fingerprint(fingerprint: str) -> Person | None:
    """Whoever may sign in with the key."""
    key = SSHKey.objects.select_related("user").filter(fingerprint=fingerprint, user__is_active=True).first()
    if key is None or (key.kind == "ssh-rsa" and key.bits < MIN_RSA_BITS):
        return None
    return Person(key.user_id, str(key.user), key.pk)


def note_use(key_id: int, address: str) -> None:
    now = timezone.now()
    stale = Q(last_used_at=None) | Q(last_used_at__lt=now - _USED_EVERY) | ~Q(last_used_address=address)
    SSHKey.objects.filter(stale, pk=key_id).update(last_used_at=now, last_used_address=address)


def readable(user_id: int, project_id: str) -> bool:
    """Whether the person may see any environment of the project, and so its repository."""
    user = User.objects.filter(pk=user_id).first()
    return user is not None and access.seen(user).filter(project=project_id).exists()


def way(user_id: int, user_name: str, address: str) -> Way:
    """Where the user name leads this person; a paused environment is woken and waited for, so ask in `ask_to_enter`.

    Raises Missing, which is noted, or Conflict.
    """
    user = User.objects.filter(pk=user_id).first()
    addresses = commands.addresses(user_name)
    try:
        return ssh_sessions.find(user, addresses)
    except Missing:
        if user is not None:
            ssh_sessions.refuse(user, addresses, address=address)
        raise
    except Conflict:
        if user is None or not ssh_sessions.wake(user, addresses, address=address):
            raise
    deadline = time.monotonic() + _WAKING
    while True:
        time.sleep(_LOOK)
        try:
            return ssh_sessions.find(user, addresses)
        except Conflict:
            if time.monotonic() > deadline or not ssh_sessions.wake(user, addresses, address=address):
                raise


def lost(people: Iterable[Person], work: Iterable[tuple[int, str]]) -> tuple[set[int], set[tuple[int, str]]]:
    """Of the given: keys that no longer let anybody in, and (user, project) pairs that are no longer readable."""
    keys = {person.key_id for person in people}
    valid = set(SSHKey.objects.filter(pk__in=keys, user__is_active=True).values_list("pk", flat=True))
    return keys - valid, {pair for pair in set(work) if not readable(*pair)}
