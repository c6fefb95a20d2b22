"""Small things that every door asks of a request."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from portal.models import User


def person(request: HttpRequest) -> User:
    """Who is signed in; only for views behind login_required."""
    assert isinstance(request.user, User)
    return request.user


def address(request: HttpRequest) -> str:
    """Where the request comes from, as the edge reports it (it sets the header anew, so visitors cannot)."""
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-1].strip()
    return (forwarded or request.META.get("REMOTE_ADDR") or "")[:64]


def safe_next(request: HttpRequest, fallback: str = "/") -> str:
    """Where to go afterwards: the `next` field when it stays on this host, else `fallback`."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    return (
        target if target.startswith("/") and url_has_allowed_host_and_scheme(target, allowed_hosts=None) else fallback
    )
