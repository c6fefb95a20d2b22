"""Server-sent events: an activity's log, steps and state; and a project's "something changed".

A stream asks the database only when it was told to look, and gives its connection back each time. Who may read it is
asked again every few seconds, so that a role taken away, a suspended account or a sign-out closes it.
"""

import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.views.decorators.http import require_GET

from deployments import access, live, logs
from deployments.models import Activity
from deployments.views import activities, log_view
from deployments.views.frame import Frame
from portal import sessions
from portal.access import find_project
from portal.errors import Denied, Missing
from portal.models import User

LOOK_AGAIN = 5.0  # seconds between two looks at who may read
HEARTBEAT = 15.0  # seconds of silence before a comment is sent, so that proxies keep the connection
MOST_STREAMS = 50  # per person and process
_BATCH = 20  # chunks read at once

_open: Counter[int] = Counter()
P = ParamSpec("P")
T = TypeVar("T")


def database(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run it in a thread and give its database connection back: a stream lives for hours and mostly waits."""

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(run)


def event(kind: str, data: str, id: int | str | None = None) -> str:
    """One event in the format of the HTML standard. A line end of any kind within the data begins a new data line."""
    lines = data.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    head = f"id: {id}\n" if id is not None else ""
    return f"{head}event: {kind}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"


@dataclass(frozen=True)
class Reader:
    """Who reads: the sign-in that the stream began with."""

    user: User
    session_key: str | None

    def still_signed_in(self) -> bool:
        """Whether that sign-in is still good: not signed out, password not changed, account not suspended."""
        return sessions.signed_in(self.session_key) == self.user

    def may(self, look: Callable[[User], object]) -> bool:
        """`look` raises Missing or Denied when the person may not see it (any more)."""
        if not self.still_signed_in():
            return False
        try:
            look(self.user)
        except (Missing, Denied):
            return False
        return True


async def reader_of(request: HttpRequest) -> Reader | None:
    user = await request.auser()
    if not isinstance(user, User):
        return None
    return Reader(user, request.session.session_key)


def respond(reader: Reader, events: AsyncGenerator[str, None]) -> HttpResponseBase:
    if _open[reader.user.pk] >= MOST_STREAMS:
        return HttpResponse(
            "Too many live pages are open. Close some and reload.", status=429, content_type="text/plain"
        )
    response = StreamingHttpResponse(_counted(reader, events), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


async def _counted(reader: Reader, events: AsyncGenerator[str, None]) -> AsyncIterator[str]:
    _open[reader.user.pk] += 1
    try:
        await database(lambda: None)()  # what the request's middleware has opened is not kept for hours
        yield "retry: 2000\n\n"
        async with aclosing(events):
            async for text in events:
                yield text
    finally:
        _open[reader.user.pk] -= 1


async def told(
    reader: Reader, look: Callable[[User], object], *channels: str, idle: float | None = None
) -> AsyncIterator[str | None]:
    """What `live.watch` tells, for as long as the reader may look; a heartbeat is the consumer's business."""
    # Streams that began together are not looked at together ever after.
    looked = time.monotonic() - random.uniform(0, LOOK_AGAIN / 2)
    async for kind in live.watch(*channels, idle=idle or LOOK_AGAIN):
        if time.monotonic() - looked >= LOOK_AGAIN:
            if not await database(reader.may)(look):
                return
            looked = time.monotonic()
        yield kind


@require_GET
async def project_events(request: HttpRequest, project_id: str) -> HttpResponseBase:
    """Tells that activities or environments changed; the page fetches what it shows of them."""
    reader = await reader_of(request)
    if reader is None:
        return HttpResponse(status=204)  # tells the browser not to try again
    look = partial(find_project, project_id=project_id)
    await database(look)(reader.user)
    return respond(reader, _project_events(reader, look, project_id))


async def _project_events(reader: Reader, look: Callable[[User], object], project_id: str) -> AsyncGenerator[str, None]:
    said = time.monotonic()
    async for kind in told(reader, look, f"project:{project_id}"):
        if kind is not None:
            said = time.monotonic()
            yield event(kind if kind in ("activity", "environment", "cron", "mail") else "activity", "")
        elif time.monotonic() - said >= HEARTBEAT:
            said = time.monotonic()
            yield ": still here\n\n"
    yield event("end", "")


@require_GET
async def activity_stream(request: HttpRequest, project_id: str, activity_id: str) -> HttpResponseBase:
    """The log after the last chunk that the page has (Last-Event-ID or ?after=); steps and state as they change."""
    reader = await reader_of(request)
    if reader is None:
        return HttpResponse(status=204)
    look = partial(access.find_activity, project_id=project_id, activity_id=activity_id)
    await database(look)(reader.user)
    known = [request.headers.get("Last-Event-ID", ""), request.GET.get("after", "")]
    after = max((int(text) for text in known if text.isascii() and text.isdigit() and len(text) < 10), default=0)
    live_page = _Live(reader, project_id, activity_id, after, with_log=request.GET.get("log") != "no")
    live_page.csrf_token = get_token(request)
    return respond(reader, live_page.events(look))


class _Live:
    """What one open page of an activity has been sent."""

    def __init__(self, reader: Reader, project_id: str, activity_id: str, after: int, *, with_log: bool) -> None:
        self.reader = reader
        self.project_id = project_id
        self.activity_id = activity_id
        self.after = after
        self.with_log = with_log
        self.csrf_token = ""  # for the forms in the fragments
        self.sent: dict[str, str] = {}
        self.final = False

    async def events(self, look: Callable[[User], object]) -> AsyncGenerator[str, None]:
        said = time.monotonic()
        channels = (f"activity:{self.activity_id}", f"project:{self.project_id}")
        async for kind in told(self.reader, look, *channels):
            if kind in ("environment", "cron", "mail"):
                continue
            if kind != "log":
                try:
                    changed = await database(self.changes)()
                except (Missing, Activity.DoesNotExist):
                    break
                for text in changed:
                    said = time.monotonic()
                    yield text
            async for text in self.log(told=kind is not None):
                said = time.monotonic()
                yield text
            if self.final:
                break
            if time.monotonic() - said >= HEARTBEAT:
                said = time.monotonic()
                yield ": still here\n\n"
        yield event("end", "")

    def changes(self) -> list[str]:
        """Events for the parts of the page that differ from what was sent. The log is complete once this says final."""
        activity = Activity.objects.select_related("project", "environment", "actor").get(pk=self.activity_id)
        framed = Frame.load(self.reader.user, self.project_id)
        parts = {
            "steps": render_to_string("deployments/_steps.html", activities.steps(activity)),
            "state": render_to_string(
                "deployments/_activity_head.html", activities.head(activity, framed) | {"csrf_token": self.csrf_token}
            ),
        }
        changed = [event(kind, html) for kind, html in parts.items() if self.sent.get(kind) != html]
        self.sent |= parts
        self.final = activity.is_final
        return changed

    async def log(self, *, told: bool) -> AsyncIterator[str]:
        """What follows the last chunk sent. Pages that were told of it at once are read and rendered for at once."""
        while self.with_log:
            look = partial(database(_log_events), self.activity_id, self.after)
            key = ("log", self.activity_id, self.after)
            events = await (live.together(key, look) if told else look())
            for number, text in events:
                self.after = number
                yield text
            if len(events) < _BATCH:
                return


def _log_events(activity_id: str, after: int) -> list[tuple[int, str]]:
    chunks = logs.read(activity_id, after, _BATCH)
    return [(chunk.number, event("log", log_view.render(chunk), chunk.number)) for chunk in chunks]
