"""Turns people's errors into answers, and a login redirect on an htmx request into one the browser follows."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.decorators import sync_and_async_middleware

from portal import audit
from portal.errors import Conflict, Denied, Invalid, Missing, SlipwayError
from portal.models import Project
from portal.requests import address, person

_STATUS: dict[type[SlipwayError], int] = {Invalid: 400, Denied: 403, Missing: 404, Conflict: 409}
_TITLE = {400: "That does not fit", 403: "You may not do this", 404: "Nothing here", 409: "Not possible right now"}


def _answer(request: HttpRequest, error: SlipwayError) -> HttpResponse:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 400)
    context = {"status": status, "title": _TITLE[status], "message": error.message}
    return render(request, "portal/error.html", context, status=status)


def _follow(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """An expired sign-in must not leave a fragment spinning: send the whole page to the sign-in."""
    if not getattr(request, "htmx", False) or not isinstance(response, HttpResponseRedirect):
        return response
    url, page = response.url, request.htmx.current_url_abs_path  # type: ignore[attr-defined]
    if page and urlsplit(url).path == reverse(settings.LOGIN_URL):
        url = redirect_to_login(page).url  # afterwards to the page that the fragment is a part of
    followed = HttpResponse(status=204)
    followed["HX-Redirect"] = url
    return followed


def _unreadable(request: HttpRequest) -> HttpResponse | None:
    """No address of ours holds a NUL, and databases do not take it."""
    if "\0" not in request.path_info and "%00" not in request.META.get("QUERY_STRING", ""):
        return None
    return HttpResponse("There is no page at this address.", status=404, content_type="text/plain; charset=utf-8")


@sync_and_async_middleware
def doors(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _unreadable(request) or _follow(request, await get_response(request))

        asynchronous.process_exception = process_exception  # type: ignore[attr-defined]
        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _unreadable(request) or _follow(request, get_response(request))  # type: ignore[arg-type]

    synchronous.process_exception = process_exception  # type: ignore[attr-defined]
    return synchronous


def process_exception(request: HttpRequest, error: Exception) -> HttpResponse | None:
    if isinstance(error, Denied):
        _note(request, error)
    return _answer(request, error) if isinstance(error, SlipwayError) else None


def _note(request: HttpRequest, error: Denied) -> None:
    """Who asked for what they may not do."""
    given = request.resolver_match.kwargs if request.resolver_match else {}
    audit.record(
        "access.denied",
        by=person(request) if request.user.is_authenticated else None,
        project=Project.objects.filter(pk=given.get("project_id", "")).first(),
        target=f"{request.method} {request.path}",
        address=address(request),
        outcome="refused",
        reason=error.message,
    )
