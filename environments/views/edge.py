"""What the edge asks when a visitor comes by https: for which names it may have certificates, and those it is given.

It comes by itself, from this machine, and shows a token that only it knows. Whoever has none learns nothing.
"""

import hmac
import re
from functools import lru_cache

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from environments.actions import hosts

_NAME = re.compile(r"[a-z0-9.-]{1,253}\Z")
_PLAIN = "text/plain; charset=utf-8"


@require_GET
def allowed(request: HttpRequest) -> HttpResponse:
    """200 when there may be a certificate for `domain`."""
    name = _name(request, "domain")
    return HttpResponse(status=200 if name and hosts.may_have_certificate(name) else 404, content_type=_PLAIN)


@require_GET
def certificate(request: HttpRequest) -> HttpResponse:
    """The chain and the key that were given for `server_name`; 204 when the edge must see for itself."""
    name = _name(request, "server_name")
    pem = hosts.uploaded(name) if name else None
    answer = HttpResponse(pem or "", status=200 if pem else 204, content_type="application/x-pem-file")
    answer["Cache-Control"] = "no-store"
    return answer


def _name(request: HttpRequest, parameter: str) -> str:
    if not hmac.compare_digest(request.GET.get("token", "").encode(), _token()):
        raise Http404
    name = request.GET.get(parameter, "").lower()
    return name if _NAME.match(name) else ""


@lru_cache(maxsize=1)
def _token() -> bytes:
    """Not to be guessed where the launcher made none."""
    try:
        token: str = settings.HOME.edge_token.read_text().strip()
    except OSError:
        token = ""
    return (token or hmac.new(settings.SECRET_KEY.encode(), b"edge", "sha256").hexdigest()).encode()
