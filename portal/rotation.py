"""Changing the key that fields are encrypted with, while everything runs.

A new key is put first in the file, so that whatever is written from then on is under it; then all that there is gets
encrypted again. Old keys still open what is left until they are retired. Each part can be repeated after a kill.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.db import models

from portal import crypto
from portal.errors import Conflict
from portal.fields import sealed

_BATCH = 200


@contextmanager
def alone() -> Iterator[None]:
    """Raises Conflict while keys are being changed elsewhere on this host."""
    path: Path = settings.FIELD_KEYS_FILE
    with open(os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("Keys are being changed already. Wait for that.") from error
        yield


def add() -> None:
    """Put a new key first."""
    _write([Fernet.generate_key().decode(), *crypto.keys()])


def retire() -> int:
    """Remove all keys but the first; returns how many."""
    first, *others = crypto.keys()
    _write([first])
    return len(others)


def left() -> int:
    """How many values are under an older key."""
    return sum(not crypto.is_current(token) and _opens(token) for _, _, _, token in _all())


def _opens(token: str) -> bool:
    try:
        crypto.decrypt(token)
    except InvalidToken:
        return False
    return True


def renew() -> tuple[int, list[str]]:
    """Encrypt again what is not under the first key: how many were, and which no key opens."""
    count, lost = 0, []
    for model, name, key, token in _all():
        if crypto.is_current(token):
            continue
        try:
            fresh = crypto.renew(token)
        except InvalidToken:
            lost.append(f"{name} of {model._meta.verbose_name} {key}")
            continue
        # Whoever writes at the same time does so under the new key and is not overwritten.
        count += model._base_manager.filter(pk=key, **{name: token}).update(**{name: fresh})
    return count, lost


def _all() -> Iterator[tuple[type[models.Model], str, object, str]]:
    for model, name in sealed():
        rows = model._base_manager.exclude(**{name: ""}).order_by("pk").values_list("pk", name)
        last: object = None
        while batch := list(rows.filter(pk__gt=last)[:_BATCH] if last is not None else rows[:_BATCH]):
            yield from ((model, name, key, token) for key, token in batch)
            last = batch[-1][0]


def _write(keys: list[str]) -> None:
    path: Path = settings.FIELD_KEYS_FILE
    before, fresh = path.stat(), path.with_suffix(".keys.new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write("".join(f"{key}\n" for key in keys))
        handle.flush()
        os.fchown(handle.fileno(), before.st_uid, before.st_gid)
        os.fsync(handle.fileno())
    fresh.rename(path)
