import secrets

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def new_id(length: int = 13) -> str:
    """A random id of lower-case letters and digits that begins with a letter (it is used in host names)."""
    return secrets.choice(_ALPHABET[:26]) + "".join(secrets.choice(_ALPHABET) for _ in range(length - 1))
