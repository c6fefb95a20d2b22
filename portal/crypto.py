"""Encryption at rest. `secrets/fields.keys` holds one Fernet key per line; the first encrypts, all decrypt."""

from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings


@lru_cache(maxsize=1)
def _box() -> MultiFernet:
    keys = [line.strip() for line in settings.FIELD_KEYS if line.strip()]
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(value: str) -> str:
    return _box().encrypt(value.encode()).decode()


def decrypt(token: str) -> str:
    """Raises cryptography.fernet.InvalidToken when none of the keys made the token."""
    return _box().decrypt(token.encode()).decode()
