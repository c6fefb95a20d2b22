"""The files of mounts in the browser."""

import os
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse

from deployments.models import MountSizes, Release
from deployments.pipeline import mounts
from environments.models import Environment
from portal.enums import EnvironmentRole
from tests.deployments.engine import Engine
from tests.factories import ReleaseFactory, member

APPS = {
    "app": {
        "mounts": {"var/data": {"source": "local", "source_path": "d"}, "tmp": {"source": "tmp", "source_path": "tmp"}},
        "workers": {"queue": {"mounts": {"q": {"source": "local", "source_path": ""}}}},
    }
}


class Scene:
    def __init__(self, engine: Engine) -> None:
        self.environment = engine.environment
        Environment.objects.filter(pk=self.environment.pk).update(status="active")
        self.release: Release = ReleaseFactory(environment=self.environment, configuration={"apps": APPS})
        self.client = Client()
        self.client.force_login(member(engine.project, integration=EnvironmentRole.VIEWER))
        kept = next(each for each in mounts.of(self.environment, self.release) if each.key == "app:var/data")
        assert kept.root is not None
        self.folder = kept.root / kept.below
        self.folder.mkdir(parents=True)

    def get(self, query: str = "", status: int = 200) -> str:
        url = reverse("environment_files", args=[self.environment.project_id, self.environment.name])
        answer = self.client.get(url + query)
        assert answer.status_code == status
        return answer.content.decode()


@pytest.fixture
def scene(engine: Engine) -> Scene:
    return Scene(engine)


def test_the_mounts_are_there_with_what_a_worker_found_in_them(scene: Scene) -> None:
    (scene.folder / "x").write_bytes(b"x" * 5000)
    html = scene.get()
    assert "/app/var/data" in html
    assert "app--queue" in html
    assert "gone with each release" in html
    assert "being measured" in html
    mounts.measure(scene.environment.pk)
    assert MountSizes.objects.get().found["app:var/data"] == [1, 8192]
    assert "8.0" in scene.get()


def test_measuring_is_asked_for_once_and_not_while_it_is_fresh(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(mounts.dispatch, "measure_mounts", asked.append)
    for _ in range(3):
        scene.get()
    assert asked == [scene.environment.pk]
    MountSizes.objects.update(asked_at=None)
    mounts.measure(scene.environment.pk)
    scene.get()
    assert len(asked) == 1


def test_folders_are_walked_into_and_strange_names_are_text(scene: Scene) -> None:
    os.mkdir(os.fsencode(scene.folder) + b"/b\xff<script>")
    (scene.folder / "u\u202e").write_text("x")
    html = scene.get("?in=app:var/data")
    assert "<script>" not in html.split("</head>")[1].replace("<script src", "")
    assert "\u202e" not in html
    inside = scene.get("?in=app:var/data&path=" + quote(b"b\xff<script>"))
    assert "This folder is empty" in inside


@pytest.mark.parametrize(
    "query",
    ["?in=app:tmp", "?in=app:none", "?in=other:var/data", "?in=app:var/data&path=..", "?in=app:var/data&path=x"],
)
def test_what_is_not_there_is_missing(scene: Scene, query: str) -> None:
    scene.get(query, 404)


def test_odd_pages_do_no_harm(scene: Scene) -> None:
    for page in ("0", "-1", "999999999999", "x", ""):
        scene.get(f"?in=app:var/data&page={page}")
