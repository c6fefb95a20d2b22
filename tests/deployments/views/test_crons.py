"""The pages about crons and workers: what they say, and what their buttons do."""

from typing import Any

import pytest
from django.test import Client

from deployments.enums import Kind
from deployments.models import Activity, CronRun
from environments.models import Environment
from portal.models import AuditEvent
from tests import factories as make
from tests.deployments.views import scenes

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(settings: Any) -> scenes.Scene:
    settings.RUNTIME = "fake"
    return scenes.ordinary()


@pytest.fixture
def owner(scene: scenes.Scene) -> Client:
    client = Client()
    client.force_login(scene.owner)
    return client


def at(scene: scenes.Scene, rest: str) -> str:
    return f"/projects/{scene.project.pk}/environments/staging/{rest}"


def text(client: Client, url: str, **headers: str) -> str:
    answer = client.get(url, headers=headers)
    assert answer.status_code == 200, url
    return " ".join(answer.content.decode().split())


def test_crons_are_shown_with_schedule_words_next_run_and_last_end(scene: scenes.Scene, owner: Client) -> None:
    said = text(owner, at(scene, "crons"))
    assert "H/15 * * * *" in said
    assert "Every 15 minutes, at :" in said
    assert "At 02:30 on Mondays to Fridays" in said
    assert "Europe/Paris" in said
    assert "Fails again and again" in said
    assert said.count("Fails again and again") == 1
    assert "signal" not in said.split("reindex")[0]
    assert "It did not run yet." in said
    assert "cleanup runs since" in said or "Stop cleanup" in said


def test_an_environment_without_crons_says_what_belongs_there(scene: scenes.Scene, owner: Client) -> None:
    for name in ("vat-rounding", "old-banner"):
        said = text(owner, f"/projects/{scene.project.pk}/environments/{name}/crons")
        assert "has no crons" in said or "None while the environment is inactive" in said


def test_the_output_of_a_run_is_shown_escaped_and_in_colour(scene: scenes.Scene, owner: Client) -> None:
    CronRun.objects.filter(pk=scene.cron_run.pk).update(output="<script>alert(1)</script>\n\x1b[31mred\x1b[0m\n")
    said = text(owner, at(scene, f"cron-runs/{scene.cron_run.pk}"))
    assert "<script>alert" not in said
    assert "&lt;script&gt;" in said
    assert ">red</span>" in said
    assert "exit code 255" in said or "signal" in said


def test_runs_of_a_cron_that_is_gone_are_still_shown(scene: scenes.Scene, owner: Client) -> None:
    make.CronRunFactory(environment=scene.environments["staging"], cron="gone")
    assert "no such cron any more" in text(owner, at(scene, "crons/store/gone"))
    assert owner.get(at(scene, "crons/store/never")).status_code == 404
    assert owner.get(at(scene, "cron-runs/nothing")).status_code == 404


def test_a_run_of_another_environment_is_not_found_here(scene: scenes.Scene, owner: Client) -> None:
    elsewhere = make.CronRunFactory(environment=scene.environments["master"])
    assert owner.get(at(scene, f"cron-runs/{elsewhere.pk}")).status_code == 404
    assert owner.post(at(scene, f"cron-runs/{elsewhere.pk}/stop")).status_code == 404


def test_run_now_leads_to_its_activity(scene: scenes.Scene, owner: Client) -> None:
    answer = owner.post(at(scene, "crons/store/reindex/run"))
    activity = Activity.objects.get(kind=Kind.CRON)
    assert answer["Location"] == f"/projects/{scene.project.pk}/activities/{activity.pk}/"
    assert activity.parameters == {"app": "store", "cron": "reindex"}
    assert "Run reindex on staging" in text(owner, answer["Location"])
    assert owner.post(at(scene, "crons/store/reindex/run")).status_code == 409
    assert "asked for a run of reindex" in text(owner, at(scene, "crons"))
    assert owner.post(at(scene, "crons/store/cleanup/run")).status_code == 409  # runs already


def test_stopping_a_run_is_written_down(scene: scenes.Scene, owner: Client) -> None:
    running = CronRun.objects.running().get()
    assert owner.post(at(scene, f"cron-runs/{running.pk}/stop")).status_code == 302
    event = AuditEvent.objects.get(action="cron.stop")
    assert event.details == {"cron": "cleanup", "run": running.pk}
    assert owner.post(at(scene, f"cron-runs/{scene.cron_run.pk}/stop")).status_code == 409


def test_a_worker_is_restarted_and_that_is_written_down(scene: scenes.Scene, owner: Client) -> None:
    assert owner.post(at(scene, "workers/store--mail/restart")).status_code == 302
    assert AuditEvent.objects.get(action="worker.restart").details == {"worker": "store--mail"}
    assert owner.post(at(scene, "workers/store--none/restart")).status_code == 404


def test_workers_are_a_fragment_for_htmx_and_a_page_for_others(scene: scenes.Scene, owner: Client) -> None:
    assert "<html" not in text(owner, at(scene, "workers"), **{"HX-Request": "true"})
    assert '<h2 id="workers">' in text(owner, at(scene, "workers"))


def test_crons_are_switched_off_by_a_setting_and_the_page_says_so(scene: scenes.Scene, owner: Client) -> None:
    assert owner.post(at(scene, "settings/crons"), {}).status_code == 302
    assert not Environment.objects.get(pk=scene.environments["staging"].pk).crons_enabled
    said = text(owner, at(scene, "crons"))
    assert "Switched off." in said
    assert "No next run" in said
    owner.post(at(scene, "settings/crons"), {"on": "on"})
    assert "Switched off." not in text(owner, at(scene, "crons"))


def test_the_next_run_is_told_in_the_time_zone_of_the_app(scene: scenes.Scene, owner: Client) -> None:
    from deployments.views.crons import _rows
    from deployments.views.frame import Frame

    framed = Frame.load(scene.owner, scene.project.pk)
    node = framed.node("staging")
    release = node.environment.releases.get(state="live")
    row = next(row for row in _rows(framed, node, release) if row.name == "reindex")
    assert row.next_at is not None
    assert (row.next_at.hour, row.next_at.minute) == (2, 30)
    assert row.zone == "Europe/Paris"
