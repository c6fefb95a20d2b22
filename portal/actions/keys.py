from django.db import IntegrityError, transaction

from portal import audit, keys
from portal.errors import Conflict, Invalid
from portal.models import SSHKey, User

MAX_KEYS = 50


def add(*, by: User, title: str, text: str, address: str = "") -> SSHKey:
    """Give the person one more public key. Raises Invalid for what is no acceptable key, Conflict for a known one."""
    key = keys.parse(text)
    title = title.strip() or key.comment or key.kind
    if len(title) > 120:
        raise Invalid("The name is longer than 120 characters.", field="title")
    if by.ssh_keys.count() >= MAX_KEYS:
        raise Conflict(f"You have {MAX_KEYS} keys already. Remove one that you no longer use.", field="key")
    try:
        with transaction.atomic():
            row = SSHKey.objects.create(
                user=by,
                title=title,
                kind=key.kind,
                bits=key.bits,
                public_key=key.line,
                fingerprint=key.fingerprint,
            )
            audit.record("ssh_key.add", by=by, target=key.fingerprint, address=address, title=title, kind=key.kind)
    except IntegrityError:
        own = SSHKey.objects.filter(user=by, fingerprint=key.fingerprint).first()
        raise Conflict(
            f"You have added this key already, as “{own.title}”."
            if own
            else "This key belongs to another account. A key says who you are, so it can be in one account only.",
            field="key",
        ) from None
    return row


def delete(*, by: User, key: SSHKey, address: str = "") -> None:
    with transaction.atomic():
        audit.record("ssh_key.delete", by=by, target=key.fingerprint, address=address, title=key.title)
        key.delete()
