"""The portal in the place of a site that sleeps: who wakes it, who waits how, and what it costs."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from deployments.actions import pausing
from deployments.enums import Kind, State
from deployments.models import Activity
from deployments.views import sleeping
from environments import edge
from environments.actions import visits
from environments.models import Environment
from portal import sites
from tests.deployments.engine import Engine

BROWSER = {"accept": "text/html,*/*"}
Answer = tuple[int, dict[str, str], str]


async def django(scope: Any, receive: Any, send: Any) -> None:
    """Stands for the portal behind: what gets here was not for a site that sleeps."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"portal"})


class Site:
    """The sleeping environment's host, as the edge reaches it."""

    def __init__(self, engine: Engine) -> None:
        engine.run(engine.ask(Kind.ACTIVATE))
        engine.run(pausing.pause(engine.environment, by=engine.by))
        self.engine = engine
        self.host = engine.environment.host
        self.portal = sites.Sites(django)
        self.cookie = self.enter()

    def enter(self) -> str:
        from django.test import Client

        client = Client()
        client.force_login(self.engine.by)
        key = client.session.session_key or ""
        token = visits.begin(by=self.engine.by, environment=self.engine.environment, session_key=key)
        return visits.enter(self.engine.environment.pk, token) or ""

    async def ask(
        self, path: str = "/", method: str = "GET", *, known: bool = True, body: int = 0, **headers: str
    ) -> Answer:
        given = {"host": f"{self.host}:8000", "x-forwarded-for": "192.0.2.7", **headers}
        given |= {"cookie": f"slipway_visit={self.cookie}"} if known else {}
        plain, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": plain,
            "raw_path": plain.encode(),
            "query_string": query.encode(),
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        sent: list[Any] = []
        parts = [{"type": "http.request", "body": b"x", "more_body": index < body} for index in range(body + 1)]

        async def receive() -> Any:
            if parts:
                return parts.pop(0)
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.portal(scope, receive, send)
        if not sent:
            return 0, {}, ""
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], told, sent[1]["body"].decode()

    def resumes(self) -> int:
        return Activity.objects.filter(kind=Kind.RESUME).count()

    def wake(self) -> Activity:
        activity = Activity.objects.open().get(kind=Kind.RESUME)
        return self.engine.run(activity)

    def play(self, scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run(scenario())


@pytest.fixture
def site(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(sleeping, "HELD", 10.0)
    monkeypatch.setattr(sleeping, "_ASK", 0.1)
    return Site(engine)


@sync_to_async
def in_thread(function: Callable[[], Any]) -> Any:
    return function()


def test_a_browser_gets_a_page_that_loads_itself_again_under_a_strict_policy(site: Site) -> None:
    status, headers, body = site.play(lambda: site.ask(**BROWSER))
    assert status == 503
    assert 'http-equiv="refresh" content="1"' in body
    assert "master is waking up" in body
    assert headers["retry-after"] == "1"
    assert headers["cache-control"] == "no-store"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "<script" not in body
    assert site.resumes() == 1
    site.play(lambda: site.ask(**BROWSER))
    assert site.resumes() == 1


def test_programs_and_forms_are_held_and_sent_to_the_same_address(site: Site) -> None:
    async def scenario() -> list[Answer]:
        get = asyncio.create_task(site.ask("//evil.example/a?b=%20c"))
        post = asyncio.create_task(site.ask("/form", "POST", body=3, **BROWSER))
        await asyncio.sleep(0.5)
        assert not get.done()
        assert not post.done()
        await in_thread(site.wake)
        return [await get, await post]

    (got, headers, _), (posted, where, _) = site.play(scenario)
    assert (got, posted) == (307, 307)
    assert headers["location"] == f"http://{site.host}:8000//evil.example/a?b=%20c"
    assert where["location"] == f"http://{site.host}:8000/form"
    assert site.resumes() == 1
    assert site.engine.served_by() == 1


def test_a_browser_waits_too_when_it_was_quick_the_last_time(site: Site) -> None:
    site.play(lambda: site.ask(**BROWSER))
    site.wake()
    site.engine.run(pausing.pause(site.engine.environment, by=site.engine.by))
    Activity.objects.filter(kind=Kind.RESUME).update(
        created_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:00:01Z"
    )

    async def scenario() -> Answer:
        get = asyncio.create_task(site.ask(**BROWSER))
        await asyncio.sleep(0.5)
        await in_thread(site.wake)
        return await get

    assert site.play(scenario)[0] == 307


def test_a_hundred_visitors_hold_no_thread_and_wake_it_once(site: Site) -> None:
    async def scenario() -> tuple[int, int, list[Answer]]:
        before = threading.active_count()
        waiting = [asyncio.create_task(site.ask(f"/{number}")) for number in range(100)]
        while not await in_thread(Activity.objects.open().filter(kind=Kind.RESUME).exists):
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)
        during = threading.active_count()
        assert not any(each.done() for each in waiting)
        await in_thread(site.wake)
        return before, during, await asyncio.gather(*waiting)

    before, during, answers = site.play(scenario)
    assert {status for status, *_ in answers} == {307}
    assert site.resumes() == 1
    assert during - before < 40, "the few that the loop has for everything"


def test_strangers_are_sent_to_the_portal_and_wake_nothing(site: Site) -> None:
    status, headers, _ = site.play(lambda: site.ask("/a?b=1&c=2", known=False, **BROWSER))
    assert status == 302
    pk = site.engine.environment.pk
    assert headers["location"].endswith(f"/-/visit/start?environment={pk}&host={site.host}&to=/a?b=1&c=2")
    assert headers["cache-control"] == "no-store"
    assert site.resumes() == 0
    site.cookie = "invented"
    assert site.play(lambda: site.ask(**BROWSER))[0] == 302
    assert site.resumes() == 0


def test_the_entrance_is_open_while_it_sleeps(site: Site) -> None:
    from django.test import Client

    client = Client()
    client.force_login(site.engine.by)
    key = client.session.session_key or ""
    token = visits.begin(by=site.engine.by, environment=site.engine.environment, session_key=key)
    entrance = f"/.slipway/visit?token={token}&to=%2Fcart"
    status, headers, _ = site.play(lambda: site.ask(entrance, known=False))
    assert status == 302
    assert headers["location"] == "/cart"
    assert headers["set-cookie"].startswith("slipway_visit=")
    assert "HttpOnly" in headers["set-cookie"]
    assert site.play(lambda: site.ask(entrance, known=False))[0] == 403


def test_one_that_does_not_wake_up_says_so_and_is_left_alone_for_a_while(site: Site) -> None:
    site.engine.runtime.fail("probe")

    async def scenario() -> Answer:
        get = asyncio.create_task(site.ask("/api"))
        await asyncio.sleep(0.5)
        await in_thread(site.wake)
        return await get

    status, headers, body = site.play(scenario)
    assert status == 503
    assert headers["retry-after"] == "30"
    assert "could not be woken" in body
    status, _, body = site.play(lambda: site.ask(**BROWSER))
    assert status == 503
    assert "did not wake up" in body
    assert site.resumes() == 1
    Activity.objects.filter(kind=Kind.RESUME).update(finished_at="2026-01-01T00:00:00Z")
    site.play(lambda: site.ask(**BROWSER))
    assert site.resumes() == 2


def test_who_waits_for_too_long_is_told_to_come_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleeping, "HELD", 0.2)
    status, headers, body = site.play(lambda: site.ask("/api"))
    assert (status, headers["retry-after"]) == (503, "1")
    assert "waking up" in body
    assert Activity.objects.get(kind=Kind.RESUME).state == State.PENDING


def test_only_hosts_of_sleepers_are_answered(site: Site) -> None:
    site.play(lambda: site.ask(**BROWSER))
    site.wake()
    # On the way here when the host was turned: sent there.
    assert site.play(lambda: site.ask("/x"))[0] == 307
    Activity.objects.update(finished_at="2026-01-01T00:00:00Z")
    assert site.play(lambda: site.ask("/x"))[0] == 299
    site.host = "localhost"
    assert site.play(lambda: site.ask("/x"))[0] == 299
    site.host = "nobody.localhost"
    assert site.play(lambda: site.ask("/x"))[0] == 299
    edge.park([site.host])
    assert site.play(lambda: site.ask("/x"))[0] == 299
    Environment.objects.update(status=Environment.Status.INACTIVE)
    site.host = site.engine.environment.host
    assert site.play(lambda: site.ask("/x"))[0] == 299


def test_the_activity_says_where_the_visitor_came_from(site: Site) -> None:
    from portal.models import AuditEvent

    site.play(lambda: site.ask(**BROWSER))
    event = AuditEvent.objects.get(action=Kind.RESUME.value)
    assert event.address == "192.0.2.7"
