"""The portal under the names of sites: there it answers only in the place of one that sleeps, see settings.SITES.

Before Django's own handler, which keeps a thread for every request until it is answered: visitors who wait cost none.
"""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.utils.module_loading import import_string

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


Answer = Callable[[], Awaitable[HttpResponse]]

_BODY_LIMIT = 30.0  # seconds


class Sites:
    def __init__(self, portal: Any) -> None:
        self._portal = portal
        self._find: Callable[[ASGIRequest], Awaitable[Answer | None]] = import_string(settings.SITES)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        request = _request(scope) if scope["type"] == "http" else None
        answer = await self._find(request) if request is not None else None
        if request is None or answer is None:
            await self._portal(scope, receive, send)
            return
        body = _Body(receive)
        reading, answering = asyncio.ensure_future(body.read()), asyncio.ensure_future(answer())
        try:
            await asyncio.wait([reading, answering], return_when=asyncio.FIRST_COMPLETED)
            if answering.done():  # else nobody waits for it any more
                # A proxy takes an answer in the middle of a body for a failure.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(body.over.wait(), _BODY_LIMIT)
                await _send(request, answering.result(), send)
        finally:
            answering.cancel()
            reading.cancel()


class _Body:
    """A body that nobody needs: whoever sent it is asked to send it again."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.over = asyncio.Event()

    async def read(self) -> None:
        """Ends when the visitor leaves."""
        while (message := await self._receive())["type"] != "http.disconnect":
            if not message.get("more_body"):
                self.over.set()
        self.over.set()


def _request(scope: Message) -> ASGIRequest | None:
    """The request without its body, when it is for the name of a site."""
    try:
        request = ASGIRequest(scope, io.BytesIO())
        host = request.get_host().partition(":")[0]
    except (DisallowedHost, RequestDataTooBig, ValueError):
        return None
    return request if host.endswith(f".{settings.BASE_DOMAIN}") else None


async def _send(request: ASGIRequest, response: HttpResponse, send: Send) -> None:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    headers += [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
    headers.append((b"content-length", str(len(response.content)).encode()))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else response.content})
