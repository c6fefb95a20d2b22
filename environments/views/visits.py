"""The portal's side of an environment's front door: `start` is for people, the others for the environment's nginx."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_GET, require_safe

from environments.actions import visits
from environments.models import Environment, Host
from portal.errors import Missing
from portal.requests import person

COOKIE = "slipway_visit"
_UNKNOWN = "There is no such environment, or you have no access to it."
_HEADER = "X-Slipway-Environment"  # set by the environment's nginx; the edge removes it from what visitors send


def _local_path(value: str) -> str:
    """The value when it is a path on the same host, else "/"."""
    plain = value.startswith("/") and not value.startswith(("//", "/\\")) and value.isprintable()
    return value if plain else "/"


def _environment_pk(request: HttpRequest) -> int | None:
    value = request.headers.get(_HEADER, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 19 else None


def _wanted(request: HttpRequest) -> str:
    """The environment's nginx cannot encode: what stands behind its last parameter is the target as it was asked."""
    raw = request.META.get("QUERY_STRING", "").partition("&to=")[2]
    return raw if raw.startswith("/") else request.GET.get("to", "/")


@login_required
@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Send a signed-in person on to the environment with a one-time token."""
    pk = request.GET.get("environment", "")
    found = Environment.objects.select_related("project")
    environment = found.filter(pk=int(pk) if pk.isascii() and pk.isdecimal() and len(pk) < 19 else 0).first()
    if environment is None:
        raise Missing(_UNKNOWN)
    session_key = request.session.session_key or ""
    try:
        token = visits.begin(by=person(request), environment=environment, session_key=session_key)
    except Missing:
        raise Missing(_UNKNOWN) from None  # in the words for one that does not exist
    asked = request.GET.get("host", "")
    host = asked if Host.objects.filter(environment=environment, name=asked).exists() else environment.host
    query = urlencode({"token": token, "to": _local_path(_wanted(request))})
    return HttpResponseRedirect(
        f"{settings.PUBLIC_SCHEME}://{host}{settings.PORT_SUFFIX}/.slipway/visit?{query}",
        headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"},
    )


@require_GET
def enter(request: HttpRequest) -> HttpResponse:
    """Reached on the environment's own host: the token becomes a cookie that only this host gets."""
    pk = _environment_pk(request)
    secret = visits.enter(pk, request.GET.get("token", "")) if pk is not None else None
    if secret is None:
        # The portal's styles do not exist on this host, so the answer is plain text.
        message = (
            "This link was used already or is older than a minute. Open the environment from the portal once more:"
        )
        return HttpResponse(
            f"{message}\n{settings.PUBLIC_URL}/\n", status=403, content_type="text/plain; charset=utf-8"
        )
    response = HttpResponseRedirect(_local_path(request.GET.get("to", "/")))
    response["Cache-Control"] = "no-store"
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(visits.VISIT_LIFE.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=settings.PUBLIC_SCHEME == "https",
    )
    return response


@require_safe
def check(request: HttpRequest) -> HttpResponse:
    """204 when the visitor may be on the environment, 401 when not. Asked by nginx, which keeps the answer for 2 s."""
    pk = _environment_pk(request)
    secret = request.COOKIES.get(COOKIE, "")
    welcome = pk is not None and bool(secret) and visits.is_welcome(pk, secret)
    return HttpResponse(status=204 if welcome else 401)
