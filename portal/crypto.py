"""Encryption at rest. `secrets/fields.keys` holds one Fernet key per line; the first encrypts, all decrypt.

The file is looked at again with each use, so that processes that run take over keys which were changed meanwhile.
"""

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

_known: tuple[object, MultiFernet] | None = None


def keys() -> list[str]:
    """Raises OSError when the file cannot be read."""
    given: list[str] = settings.FIELD_KEYS
    return given or settings.FIELD_KEYS_FILE.read_text().split()


def _box() -> MultiFernet:
    global _known
    path: Path = settings.FIELD_KEYS_FILE
    mark: object = tuple(settings.FIELD_KEYS) or _mark(path)
    if _known is None or _known[0] != mark:
        _known = (mark, MultiFernet([Fernet(key) for key in keys()]))
    return _known[1]


def _mark(path: Path) -> object:
    found = os.stat(path)
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size


def encrypt(value: str) -> str:
    return _box().encrypt(value.encode()).decode()


def decrypt(token: str) -> str:
    """Raises cryptography.fernet.InvalidToken when none of the keys made the token."""
    return _box().decrypt(token.encode()).decode()


def is_current(token: str) -> bool:
    """Whether the first key made it."""
    try:
        Fernet(keys()[0]).decrypt(token.encode())
    except InvalidToken:
        return False
    return True


def renew(token: str) -> str:
    """The same under the first key. Raises InvalidToken when none of the keys made the token."""
    return _box().rotate(token.encode()).decode()
