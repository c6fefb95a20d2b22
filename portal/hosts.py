"""Under which names the portal answers."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

_ENTRANCE = "/-/visit/enter"  # what an environment's nginx passes on for its visitors


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """At a site's name the portal only lets visitors in.

    An app can lead its nginx to the portal instead of to itself, by a link where its socket should be. People who
    signed in there would hand their session to the app.
    """
    host = request.get_host().partition(":")[0]
    if not host.endswith(f".{settings.BASE_DOMAIN}") or request.path == _ENTRANCE:
        return None
    return HttpResponse("The portal has another address.", status=421, content_type="text/plain; charset=utf-8")


@sync_and_async_middleware
def own(
    get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            return _refusal(request) or await get_response(request)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        return _refusal(request) or get_response(request)  # type: ignore[return-value]

    return synchronous
