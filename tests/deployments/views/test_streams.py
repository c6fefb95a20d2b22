"""What a stream sends, from where it goes on, and when it closes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.test import AsyncClient

from deployments import live
from deployments.enums import State
from deployments.models import Activity
from deployments.views import streams
from portal.models import Membership, User
from tests import factories as make
from tests.deployments.views import scenes

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOOK_AGAIN", 0.05)
    monkeypatch.setattr(streams, "HEARTBEAT", 0.1)

    async def watch(*channels: str, idle: float = 15) -> AsyncIterator[str | None]:
        while True:
            yield None
            await asyncio.sleep(0.03)

    monkeypatch.setattr(live, "watch", watch)


async def opened(user: User, path: str, **headers: str) -> Any:
    client = AsyncClient()
    await client.aforce_login(user)
    return await client.get(path, headers=headers)


async def read(response: Any, until: str, seconds: float = 5) -> str:
    """What the stream sends until it has sent `until`, or has ended."""
    text = ""
    async with asyncio.timeout(seconds):
        async for part in response.streaming_content:
            text += part.decode()
            if until in text:
                break
    return text


def path_of(activity: Activity, query: str = "") -> str:
    return f"/projects/{activity.project_id}/activities/{activity.pk}/stream{query}"


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_the_log_comes_in_numbered_chunks_with_steps_and_state() -> None:
    scene = scenes.ordinary()

    async def scenario() -> str:
        return await read(await opened(scene.owner, path_of(scene.running)), "event: log")

    text = run(scenario())
    assert "event: steps\ndata: " in text
    assert "event: state\ndata: " in text
    assert "id: 1\nevent: log\ndata: <div class=" in text
    assert "csrfmiddlewaretoken" in text


@pytest.mark.parametrize("resume", ["header", "query"])
def test_a_reader_goes_on_after_what_it_has(resume: str) -> None:
    scene = scenes.ordinary()
    make.write_log(scene.running, "two")
    make.write_log(scene.running, "three")

    async def scenario() -> str:
        query, headers = ("?after=2", {}) if resume == "query" else ("?after=1", {"Last-Event-ID": "2"})
        return await read(await opened(scene.owner, path_of(scene.running, query), **headers), "id: 3")

    text = run(scenario())
    assert "id: 2\n" not in text
    assert ">three<" in text


@pytest.mark.parametrize("after", ["-1", "x", "9" * 40, "٣", ""])
def test_a_bad_number_means_from_the_beginning(after: str) -> None:
    scene = scenes.ordinary()

    async def scenario() -> str:
        return await read(await opened(scene.owner, path_of(scene.running, f"?after={after}")), "event: log")

    assert "id: 1\n" in run(scenario())


def test_the_stream_ends_with_the_activity_and_nothing_of_the_log_is_missing() -> None:
    scene = scenes.ordinary()

    async def scenario() -> str:
        response = await opened(scene.owner, path_of(scene.running))
        text = await read(response, "id: 1\n")

        def finish() -> None:
            make.write_log(scene.running, "the last line")
            Activity.objects.filter(pk=scene.running.pk).update(state=State.SUCCEEDED, outcome="v42 is live.")

        await sync_to_async(finish)()
        return text + await read(response, "never sent")

    text = run(scenario())
    assert "the last line" in text
    assert "v42 is live." in text
    assert text.endswith("event: end\ndata: \n\n")


def test_losing_the_role_closes_the_stream() -> None:
    scene = scenes.ordinary()

    async def scenario() -> str:
        response = await opened(scene.owner, path_of(scene.running))
        await read(response, "id: 1\n")
        await Membership.objects.filter(user=scene.owner, project=scene.project).adelete()
        await sync_to_async(make.write_log)(scene.running, "not for you any more")
        await asyncio.sleep(0.1)
        return await read(response, "never sent")

    text = run(scenario())
    assert text.endswith("event: end\ndata: \n\n")


@pytest.mark.parametrize("how", ["signed out", "suspended", "password changed"])
def test_a_sign_in_that_is_over_closes_the_stream(how: str) -> None:
    scene = scenes.ordinary()

    def end() -> None:
        if how == "signed out":
            Session.objects.all().delete()
        elif how == "suspended":
            User.objects.filter(pk=scene.owner.pk).update(is_active=False)
        else:
            scene.owner.set_password("another long password")
            scene.owner.save()

    async def scenario() -> str:
        response = await opened(scene.owner, f"/projects/{scene.project.pk}/events")
        await read(response, "retry")
        await sync_to_async(end)()
        return await read(response, "never sent")

    assert run(scenario()).endswith("event: end\ndata: \n\n")


def test_a_silent_stream_sends_heartbeats() -> None:
    scene = scenes.ordinary()

    async def scenario() -> str:
        return await read(await opened(scene.owner, f"/projects/{scene.project.pk}/events"), ": still here")

    assert ": still here" in run(scenario())


def test_nobody_and_strangers_get_no_stream() -> None:
    scene = scenes.ordinary()
    stranger = make.UserFactory()
    paths = [path_of(scene.running), f"/projects/{scene.project.pk}/events"]

    async def scenario() -> list[tuple[int, int, int]]:
        client = AsyncClient()
        return [
            (
                (await client.get(path)).status_code,
                (await opened(stranger, path)).status_code,
                (await client.post(path)).status_code,
            )
            for path in paths
        ]

    assert run(scenario()) == [(204, 404, 405)] * 2


def test_one_person_cannot_hold_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 1)
    scene = scenes.ordinary()

    async def scenario() -> tuple[int, int]:
        path = f"/projects/{scene.project.pk}/events"
        first = await opened(scene.owner, path)
        await read(first, "retry")
        second = await opened(scene.owner, path)
        await first._iterator.aclose()
        third = await opened(scene.owner, path)
        return second.status_code, third.status_code

    assert run(scenario()) == (429, 200)


def test_line_ends_within_an_event_begin_new_data_lines() -> None:
    assert streams.event("log", "a\r\nb\rc", 7) == "id: 7\nevent: log\ndata: a\ndata: b\ndata: c\n\n"
