"""Turns people's errors into answers, and a login redirect on an htmx request into one the browser follows."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.decorators import sync_and_async_middleware

from portal.errors import Conflict, Denied, Invalid, Missing, SlipwayError

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
    followed = HttpResponse(status=204)
    followed["HX-Redirect"] = response.url
    return followed


@sync_and_async_middleware
def doors(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _follow(request, await get_response(request))

        asynchronous.process_exception = process_exception  # type: ignore[attr-defined]
        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _follow(request, get_response(request))  # type: ignore[arg-type]

    synchronous.process_exception = process_exception  # type: ignore[attr-defined]
    return synchronous


def process_exception(request: HttpRequest, error: Exception) -> HttpResponse | None:
    return _answer(request, error) if isinstance(error, SlipwayError) else None
