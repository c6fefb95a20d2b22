"""The portal in the place of a site that sleeps: who may be there wakes it by coming, and waits until it answers.

A browser gets a small page that loads itself again; whoever cannot read that, or would not have to wait for long, is
held and then sent to the same address once more. Those who wait cost no thread: one look at the edge serves them all.
"""

import asyncio
import hashlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.utils import timezone

from deployments.actions import pausing
from deployments.enums import Kind, State
from deployments.models import Activity
from environments import edge
from environments.actions import visits
from environments.models import Environment, Host
from environments.views import visits as doors
from portal.requests import address

HELD = 45.0  # seconds that a request waits at most
QUICK = 2.5  # seconds that also a browser rather waits than reads a page
_LOOK = 0.05  # seconds between two looks at the edge, which cost next to nothing
_ASK = 1.0  # seconds between two looks at the database
_LATELY = timedelta(minutes=1)
_DISCOURAGED = timedelta(minutes=1)  # after a failure nobody's coming is a reason to try again for so long

_TEXT = "text/plain; charset=utf-8"
_ENTRANCES = {"/.slipway/visit": doors.enter, "/.slipway/login": doors.login}

P = ParamSpec("P")
T = TypeVar("T")


def _database(function: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Run it in one of a few threads that all visitors share."""

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        finally:
            close_old_connections()

    return sync_to_async(run, thread_sensitive=False)


async def find(request: HttpRequest) -> Callable[[], Awaitable[HttpResponse]] | None:
    """What answers in the place of the request's host; None when its environment does not sleep."""
    host = request.get_host().partition(":")[0]
    environment = await _database(_sleeper)(host)
    return Visitor(request, host, environment).answer if environment is not None else None


def _sleeper(host: str) -> Environment | None:
    """The host's environment, when it is paused or its hosts are being turned."""
    row = Host.objects.select_related("environment__project").filter(name=host).first()
    if row is None or not row.environment.is_active:
        return None
    environment: Environment = row.environment
    if environment.is_paused or edge.is_parked(host):
        return environment
    # It was on its way here when the host was turned away from here.
    turning = Activity.objects.filter(environment=environment, kind__in=[*pausing.WAKING, Kind.PAUSE])
    late = turning.open() | turning.filter(finished_at__gt=timezone.now() - _LATELY)
    return environment if late.exists() else None


@dataclass(frozen=True)
class Visitor:
    request: HttpRequest
    host: str
    environment: Environment

    async def answer(self) -> HttpResponse:
        entrance = _ENTRANCES.get(self.request.path)
        if entrance is not None:
            self.request.META["HTTP_X_SLIPWAY_ENVIRONMENT"] = str(self.environment.pk)
            return await _database(entrance)(self.request)
        refusal = await _database(self._refusal)()
        if refusal is not None:
            return refusal
        return await self._wait()

    def _refusal(self) -> HttpResponse | None:
        """What the environment's own nginx would answer to somebody who may not be there. Nobody is woken by them."""
        authorization = self.request.headers.get("Authorization", "")
        verdict = visits.judge(
            self.environment.pk,
            cookie=self.request.COOKIES.get(visits.COOKIE, ""),
            authorization=authorization,
            address=address(self.request),
        )
        if verdict.welcome:
            return None
        if verdict.ask == "wait":
            text = "Too many wrong passwords. Try again in a minute.\n"
            return _plain(HttpResponse(text, status=429, content_type=_TEXT, headers={"Retry-After": "60"}))
        if verdict.ask == "login" and (authorization or not self._reads_pages):
            answer = HttpResponse("Name and password are needed.\n", status=401, content_type=_TEXT)
            answer["WWW-Authenticate"] = doors.CHALLENGE
            return _plain(answer)
        start = f"{settings.PUBLIC_URL}/-/visit/start?environment={self.environment.pk}&host={self.host}"
        return _plain(HttpResponseRedirect(f"{start}&to={self.request.get_full_path()}"))

    async def _wait(self) -> HttpResponse:
        wake = _wakes.get(self.host)
        if wake is None:
            failure = await _database(self._lately_failed)()
            if failure is not None:
                return self._page(failure=failure)
            wake = _wakes.get(self.host) or _Wake(self.host, self.environment, address(self.request))
            await wake.asked
        if self._reads_pages and (wake.expected is None or wake.expected > QUICK):
            await asyncio.wait([wake.task], timeout=_LOOK)
            return self._again() if wake.is_awake else self._page(expected=wake.expected)
        await asyncio.wait([wake.task], timeout=HELD)
        if wake.is_awake:
            return self._again()
        return self._page(failure=wake.failure, expected=wake.expected)

    def _lately_failed(self) -> Activity | None:
        """The last attempt to wake it, when that failed a moment ago."""
        asked = Activity.objects.filter(environment=self.environment, kind=Kind.RESUME)
        last = asked.order_by("-sequence").first()
        if last is None or last.state != State.FAILED or last.finished_at is None:
            return None
        return last if last.finished_at > timezone.now() - _DISCOURAGED else None

    @property
    def _reads_pages(self) -> bool:
        return self.request.method == "GET" and "text/html" in self.request.headers.get("Accept", "")

    def _again(self) -> HttpResponse:
        """Absolute: a path may begin with two slashes."""
        url = f"{self.request.scheme}://{self.request.get_host()}{self.request.get_full_path()}"
        answer = HttpResponse(status=307, headers={"Location": url})
        return _plain(answer)

    def _page(self, *, failure: Activity | None = None, expected: float | None = None) -> HttpResponse:
        """503: the site itself comes later; programs that are told so try again."""
        seconds = round(_DISCOURAGED.total_seconds() / 2) if failure else 1
        if not self._reads_pages and self.request.method != "HEAD":
            words = "could not be woken" if failure else "is waking up"
            text = f"This site {words}. Try again in {seconds} seconds.\n"
            answer = HttpResponse(text, content_type=_TEXT, status=503)
        else:
            project, name = self.environment.project_id, self.environment.name
            context = {
                "environment": self.environment,
                "failure": failure,
                "expected": round(expected) if expected else None,
                "again": seconds,
                "portal_url": f"{settings.PUBLIC_URL}/projects/{project}/environments/{name}/",
            }
            answer = HttpResponse(render_to_string("environments/sleeping.html", context), status=503)
        answer["Retry-After"] = str(seconds)
        return _plain(answer)


def _plain(answer: HttpResponse) -> HttpResponse:
    answer["Cache-Control"] = "no-store"
    answer["Content-Security-Policy"] = _policy()
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Referrer-Policy"] = "no-referrer"
    answer["X-Robots-Tag"] = "noindex, nofollow"
    return answer


@cache
def _policy() -> str:
    """Nothing but the page's own style."""
    styles = re.findall(r"<style>(.*?)</style>", render_to_string("environments/sleeping.html"), re.DOTALL)
    hashes = [b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    allowed = " ".join(f"'sha256-{each}'" for each in hashes)
    return f"default-src 'none'; style-src {allowed}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class _Wake:
    """One environment that is being woken, for all who wait at the same host of it."""

    def __init__(self, host: str, environment: Environment, address: str) -> None:
        self.host = host
        self.address = address  # of who came first
        self.environment = environment
        self.expected: float | None = None  # seconds, as the last time
        self.failure: Activity | None = None
        self.asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        _wakes[host] = self
        self.task = asyncio.create_task(self._until_awake())
        self.task.add_done_callback(lambda _: _wakes.pop(host, None))

    @property
    def is_awake(self) -> bool:
        return self.task.done() and not self.task.cancelled() and not self.task.exception() and self.task.result()

    async def _until_awake(self) -> bool:
        try:
            activity, self.expected = await _database(self._ask)()
        finally:
            if not self.asked.done():
                self.asked.set_result(None)
        looked = asyncio.get_running_loop().time()
        while edge.is_parked(self.host):
            await asyncio.sleep(_LOOK)
            now = asyncio.get_running_loop().time()
            if now - looked >= _ASK:
                looked = now
                activity = await _database(self._look)(activity)
                if activity is None or activity.state in (State.FAILED, State.CANCELLED):
                    self.failure = activity
                    return False
        return True

    def _ask(self) -> tuple[Activity | None, float | None]:
        return pausing.wake(self.environment, address=self.address), self._took()

    def _took(self) -> float | None:
        """Seconds, from the first visitor to the end, the last time that it was woken."""
        woken = Activity.objects.filter(environment=self.environment, kind=Kind.RESUME, state=State.SUCCEEDED)
        last = woken.filter(steps__name="switch").order_by("-sequence").first()
        if last is None or last.finished_at is None:
            return None
        return (last.finished_at - last.created_at).total_seconds()

    def _look(self, activity: Activity | None) -> Activity | None:
        """How it is going. When the host is still parked although all is done, the reconciler will turn it."""
        environment = Environment.objects.filter(pk=self.environment.pk).first()
        if environment is None or not environment.is_active:
            return None
        if activity is not None:
            activity = Activity.objects.filter(pk=activity.pk).first()
        if activity is None or (activity.is_final and environment.is_paused):
            return activity if activity and activity.state != State.SUCCEEDED else pausing.wake(environment)
        return activity


_wakes: dict[str, _Wake] = {}
