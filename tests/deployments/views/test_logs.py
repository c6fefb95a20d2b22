"""The logs of an environment in the browser: the end at once, what follows live, strangers' text as text."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from deployments.views import logs, streams
from environments.models import Environment
from portal.crypto import encrypt
from portal.enums import EnvironmentRole
from portal.models import Project, User
from tests.deployments.engine import Engine
from tests.deployments.views.test_streams import opened, read
from tests.factories import member


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(logs, "EVERY", 0.05)
    monkeypatch.setattr(streams, "LOOK_AGAIN", 0.2)
    logs._redactors.clear()
    yield
    logs._redactors.clear()


class Scene:
    def __init__(self, engine: Engine) -> None:
        self.environment: Environment = engine.environment
        Environment.objects.filter(pk=self.environment.pk).update(status="active")
        Project.objects.filter(pk=engine.project.pk).update(entropy_sealed=encrypt("entropy-of-the-project"))
        self.viewer: User = member(engine.project, integration=EnvironmentRole.VIEWER)
        self.client = Client()
        self.client.force_login(self.viewer)
        self.folder: Path = logs.folder_of(self.environment)
        self.folder.mkdir(parents=True)

    def write(self, text: str, name: str = "app.app") -> None:
        with (self.folder / f"{name}.log").open("a") as file:
            file.write(text)

    def url(self, view: str, *more: str) -> str:
        return reverse(view, args=[self.environment.project_id, self.environment.name, *more])

    def get(self, view: str, *more: str, **query: str) -> str:
        answer = self.client.get(self.url(view, *more), query)
        assert answer.status_code == 200, answer.status_code
        return answer.content.decode()


@pytest.fixture
def scene(engine: Engine) -> Scene:
    return Scene(engine)


@pytest.mark.parametrize("text", ["", "\n", "\n\n", "a\n\n\n", "\n\na", "\r\n"])
def test_empty_lines_are_lines_wherever_they_stand(scene: Scene, text: str) -> None:
    scene.write(text)
    assert scene.get("environment_logs").count('<p id="L') == text.count("\n")  # what has no end yet waits for it


def test_without_logs_the_page_says_what_belongs_there(scene: Scene) -> None:
    assert "Nothing has written a log yet" in scene.get("environment_logs")


def test_the_page_shows_the_end_of_the_apps_log_and_offers_the_others(scene: Scene) -> None:
    scene.write("hello <b>there</b>\x1b[31mred\x1b[0m \x1b]8;;javascript:x\x07 \u202e\n<script>x</script>\n")
    scene.write("x\n", "access")
    scene.write("x\n", "app.cron")
    html = scene.get("environment_logs")
    assert "hello &lt;b&gt;there&lt;/b&gt;" in html
    assert "<script>x" not in html
    assert "javascript:x" not in html
    assert "\u202e" not in html
    assert "app: crons" in html
    assert "Requests" in html
    assert "/stream?after=" in html


def test_secrets_of_the_environment_are_not_shown(scene: Scene) -> None:
    scene.write("it is entropy-of-the-project\n")
    for html in (
        scene.get("environment_logs"),
        scene.get("environment_log", "app.app", find="it is"),
        scene.get("environment_log", "app.app", before="1000"),
    ):
        assert "entropy-of" not in html
    assert "[secret]" in scene.get("environment_logs")


def test_a_search_marks_what_it_finds_and_nothing_more(scene: Scene) -> None:
    scene.write("an <i>apple</i>\na pear\n")
    html = scene.get("environment_log", "app.app", find="APPLE")
    assert "&lt;i&gt;<mark>apple</mark>&lt;/i&gt;" in html
    assert "pear" not in html


@pytest.mark.parametrize("file", ["nothing", "..", "app.app.log.1", "%2e%2e%2fpasswd"])
def test_a_log_that_is_not_there_is_missing(scene: Scene, file: str) -> None:
    scene.write("x\n")
    assert scene.client.get(scene.url("environment_logs", file)).status_code == 404


def test_lines_arrive_while_the_page_is_open_and_a_reader_goes_on_after_them(scene: Scene) -> None:
    scene.write("first\n")

    async def scenario() -> tuple[str, str]:
        response = await opened(scene.viewer, scene.url("environment_log_stream", "app.app"))
        begun = await read(response, "first")
        scene.write("second entropy-of-the-project\n")
        return begun, await read(response, "second")

    begun, later = asyncio.run(scenario())
    assert "event: log" in begun
    assert "second [secret]" in later
    position = next(line for line in begun.splitlines() if line.startswith("id: ")).removeprefix("id: ")

    async def again() -> str:
        headers = {"Last-Event-ID": position}
        return await read(
            await opened(scene.viewer, scene.url("environment_log_stream", "app.app"), **headers), "second"
        )

    text = asyncio.run(again())
    assert "first" not in text
    assert text.count("second") == 1


def test_a_stream_ends_with_the_right_to_see(scene: Scene) -> None:
    scene.write("first\n")

    async def scenario() -> str:
        response: Any = await opened(scene.viewer, scene.url("environment_log_stream", "app.app"))
        begun = await read(response, "first")
        await streams.database(scene.viewer.memberships.all().delete)()
        return begun + await read(response, "event: end")

    assert "event: end" in asyncio.run(scenario())


def test_the_download_is_the_whole_log_without_secrets(scene: Scene) -> None:
    (scene.folder / "app.app.log.1").write_text("older\n")
    scene.write("newer entropy-of-the-project\n")

    async def scenario() -> tuple[str, str]:
        response: Any = await opened(scene.viewer, scene.url("environment_log_raw", "app.app"))
        return response.headers["Content-Disposition"], await read(response, "nothing of this kind")

    name, text = asyncio.run(scenario())
    assert text == "older\nnewer [secret]\n"
    assert ".app.app.log" in name
