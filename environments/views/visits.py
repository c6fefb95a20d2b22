"""The portal's side of an environment's front door: `start` is for people, the others for the environment's nginx."""

from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from environments.actions import visits
from environments.actions.http_access import holding
from environments.actions.visits import COOKIE
from environments.models import Environment, Host
from portal.errors import Missing
from portal.requests import address, person

_UNKNOWN = "There is no such environment, or you have no access to it."
_PLAIN = "text/plain; charset=utf-8"
CHALLENGE = 'Basic realm="This site is not public", charset="UTF-8"'
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


@require_GET
def start(request: HttpRequest) -> HttpResponse:
    """Send a signed-in person on to the environment with a one-time token. Others sign in, here or by a login."""
    pk = request.GET.get("environment", "")
    found = Environment.objects.select_related("project")
    environment = found.filter(pk=int(pk) if pk.isascii() and pk.isdecimal() and len(pk) < 19 else 0).first()
    choice = _choice(request, environment)
    if not request.user.is_authenticated:
        return choice or redirect_to_login(request.get_full_path())
    if environment is None:
        raise Missing(_UNKNOWN)
    session_key = request.session.session_key or ""
    try:
        token = visits.begin(by=person(request), environment=environment, session_key=session_key)
    except Missing:
        if choice is not None:
            return choice
        raise Missing(_UNKNOWN) from None  # in the words for one that does not exist
    asked = request.GET.get("host", "")
    host = asked if Host.objects.filter(environment=environment, name=asked).exists() else environment.host
    query = urlencode({"token": token, "to": _local_path(_wanted(request))})
    return HttpResponseRedirect(
        f"{_site(host)}/.slipway/visit?{query}",
        headers={"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"},
    )


def _choice(request: HttpRequest, environment: Environment | None) -> HttpResponse | None:
    """The page that offers the site's own logins beside the portal's sign-in. Only for who knows the site's name
    already, or counting up numbers would tell what environments there are."""
    host = request.GET.get("host", "")
    if environment is None or not Host.objects.filter(environment=environment, name=host).exists():
        return None
    policy = holding(environment).policy
    if policy is None or not policy.logins:
        return None
    query = urlencode({"to": _local_path(_wanted(request))})
    context = {
        "host": host,
        "login": f"{_site(host)}/.slipway/login?{query}",
        "sign_in": redirect_to_login(request.get_full_path()).url,
    }
    answer = render(request, "environments/visit.html", context)
    answer["Cache-Control"] = "no-store"
    return answer


def _site(host: str) -> str:
    return f"{settings.PUBLIC_SCHEME}://{host}{settings.PORT_SUFFIX}"


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
        return HttpResponse(f"{message}\n{settings.PUBLIC_URL}/\n", status=403, content_type=_PLAIN)
    return _let_in(request, secret)


@require_GET
def login(request: HttpRequest) -> HttpResponse:
    """Reached on the environment's own host: the browser asks for name and password, which become such a cookie too."""
    pk = _environment_pk(request)
    cookie, verdict = (
        visits.login_cookie(pk, authorization=request.headers.get("Authorization", ""), address=address(request))
        if pk is not None
        else (None, None)
    )
    if cookie is not None:
        return _let_in(request, cookie)
    if verdict is None or not verdict.ask:
        return HttpResponse("There are no logins here.\n", status=403, content_type=_PLAIN)
    if verdict.ask == "wait":
        answer = HttpResponse("Too many wrong passwords. Try again in a minute.\n", status=429, content_type=_PLAIN)
        answer["Retry-After"] = "60"
    else:
        answer = HttpResponse("Name and password are needed.\n", status=401, content_type=_PLAIN)
        answer["WWW-Authenticate"] = CHALLENGE
    answer["Cache-Control"] = "no-store"
    return answer


def _let_in(request: HttpRequest, secret: str) -> HttpResponse:
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
    if pk is None:
        return HttpResponse(status=401)
    verdict = visits.judge(
        pk,
        cookie=request.COOKIES.get(COOKIE, ""),
        authorization=request.headers.get("Authorization", ""),
        address=address(request),
    )
    answer = HttpResponse(status=204 if verdict.welcome else 401)
    if verdict.by_login:
        answer["X-Slipway-Login"] = "1"
    if verdict.ask:
        answer["X-Slipway-Ask"] = verdict.ask
    return answer
