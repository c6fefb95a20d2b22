"""Whether a sign-in is still good, for what outlives the request that began with it."""

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from portal.models import User


def signed_in(session_key: str | None) -> User | None:
    """Whose sign-in the session is; None when it was signed out, expired, ended by a new password or suspended."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    return user if isinstance(user, User) and user.is_active else None
