"""What deployments do about crons: a pause, a limit, and crons that run again however it ends."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from deployments.actions import activities, pausing
from deployments.actions import crons as actions
from deployments.enums import Kind, State
from deployments.models import Activity, CronRun
from deployments.pipeline import crons as crons_pipeline
from deployments.pipeline import idling, reconciling, specs
from environments.models import Environment
from environments.process import Watch
from environments.runtimes.crons import Outcome
from environments.runtimes.fake_crons import FakeCrons
from portal.crypto import encrypt
from portal.errors import Conflict, Denied, Missing
from portal.models import AuditEvent, Project
from portal.paths import Home
from tests.deployments.engine import APP, FILES, Engine, log_of, steps_of
from tests.factories import CronRunFactory, member

CRONS = """crons:
  tick: {spec: "H/15 * * * *", commands: {start: echo tick}}
  long: {spec: "0 3 * * *", commands: {start: wait}}
  bad: {spec: "0 4 * * *", commands: {start: exit 4}}
"""
WITH_CRONS = {**FILES, ".platform.app.yaml": APP + CRONS}


@pytest.fixture
def engine(fake_home: Home, tmp_path: Path, transactional_db: None) -> Engine:
    engine = Engine(tmp_path, WITH_CRONS)
    assert engine.run(engine.ask(Kind.ACTIVATE)).state == State.SUCCEEDED
    return engine


@pytest.fixture
def crons(engine: Engine) -> FakeCrons:
    crons = engine.runtime.crons
    assert isinstance(crons, FakeCrons)
    return crons


def place(engine: Engine) -> Any:
    return specs.place_of(engine.environment)


def test_the_first_deployment_has_no_crons_to_pause(engine: Engine) -> None:
    assert "Pause crons" not in dict(steps_of(Activity.objects.get(kind=Kind.ACTIVATE)))


def test_a_deployment_waits_for_what_runs_then_stops_it(engine: Engine, crons: FakeCrons, settings: Any) -> None:
    settings.CRON_PATIENCE = 0.3
    crons.begin(place(engine), 1, "app", "long", id="running1")
    activity = engine.run(engine.push({**WITH_CRONS, "new": "x"}))
    assert activity.state == State.SUCCEEDED
    assert dict(steps_of(activity))["Pause crons"] == "succeeded"
    log = log_of(activity)
    assert "The cron long runs: waiting up to 0.3 s for it" in log
    assert "long did not end within 0.3 s and is being stopped" in log
    run = crons.find(place(engine), "running1")
    assert run is not None
    assert run.outcome is Outcome.STOPPED
    assert "deployment" in run.note
    assert crons.quiet_until(place(engine)) is None


def test_a_pause_waits_for_what_runs_then_stops_it(engine: Engine, crons: FakeCrons, settings: Any) -> None:
    settings.CRON_PATIENCE = 0.3
    crons.begin(place(engine), 1, "app", "long", id="running1")
    activity = engine.run(pausing.pause(engine.environment, by=engine.by))
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert [title for title, _ in steps_of(activity)][:2] == ["Pause crons", "Let the portal answer"]
    assert "long did not end within 0.3 s and is being stopped" in log_of(activity)
    run = crons.find(place(engine), "running1")
    assert run is not None
    assert (run.outcome, run.note) == (Outcome.STOPPED, "Its environment was to be paused")
    assert crons.quiet_until(place(engine)) is None
    assert engine.run(pausing.resume(engine.environment, by=engine.by)).state == State.SUCCEEDED
    assert reconciling.reconcile() == []


def test_crons_run_again_when_a_pause_is_given_up(
    engine: Engine, crons: FakeCrons, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idling, "is_still_due", lambda *_: False)
    activity = engine.run(pausing.pause(engine.environment, by=None, because="idle"))
    assert "it stays awake" in activity.outcome
    assert crons.quiet_until(place(engine)) is None


def test_crons_run_again_when_a_pause_is_cancelled_while_it_waits(
    engine: Engine, crons: FakeCrons, monkeypatch: pytest.MonkeyPatch
) -> None:
    crons.begin(place(engine), 1, "app", "long", id="running1")
    activity = pausing.pause(engine.environment, by=engine.by)
    quiet = crons.quiet

    def cancel(*args: Any, **values: Any) -> None:
        activities.cancel(activity, by=engine.by)
        quiet(*args, **values)

    monkeypatch.setattr(crons, "quiet", cancel)
    engine.run(activity)
    assert activity.state == State.CANCELLED
    assert not engine.environment.is_paused
    assert crons.quiet_until(place(engine)) is None


@pytest.mark.parametrize("verb", ["start", "run", "probe"])
def test_crons_run_again_after_a_deployment_that_failed(engine: Engine, crons: FakeCrons, verb: str) -> None:
    engine.runtime.fail(verb)
    assert engine.run(engine.push({**WITH_CRONS, "new": "x"})).state == State.FAILED
    engine.runtime.let_go(verb)
    assert crons.quiet_until(place(engine)) is None


def test_the_reconciler_ends_a_quiet_that_nobody_needs(engine: Engine, crons: FakeCrons) -> None:
    crons.quiet(place(engine), Watch(output=lambda _: None), patience=1, lease=3600, why="x")
    assert any("its crons run again" in sentence for sentence in reconciling.reconcile())
    assert crons.quiet_until(place(engine)) is None


def test_the_reconciler_leaves_the_quiet_of_an_activity_that_runs(engine: Engine, crons: FakeCrons) -> None:
    crons.quiet(place(engine), Watch(output=lambda _: None), patience=1, lease=3600, why="x")
    activity = engine.push({**WITH_CRONS, "new": "x"})
    Activity.objects.filter(pk=activity.pk).update(state=State.RUNNING)
    reconciling.reconcile()
    assert crons.quiet_until(place(engine)) is not None


# -- runs that people ask for -----------------------------------------------------------------------------------------


def run_now(engine: Engine, cron: str) -> Activity:
    engine.environment.refresh_from_db()
    return actions.run(engine.environment, app="app", cron=cron, by=engine.by)


def test_a_run_that_a_person_asks_for_is_an_activity_with_its_output(engine: Engine) -> None:
    activity = engine.run(run_now(engine, "tick"))
    assert (activity.state, activity.error_id) == (State.SUCCEEDED, "")
    assert "tick ended well after" in activity.outcome
    assert "tick\n" in log_of(activity)
    crons_pipeline.take_in(engine.environment, engine.runtime)
    run = CronRun.objects.get()
    assert (run.pk, run.cron, run.outcome, run.output) == (activity.pk, "tick", "succeeded", "tick\n")
    assert (run.trigger, run.by, run.release) == ("person", str(engine.by), 1)
    assert list(engine.runtime.crons.runs(place(engine))) == []  # it is known to the database by now


def test_a_run_that_fails_says_how(engine: Engine) -> None:
    activity = engine.run(run_now(engine, "bad"))
    assert (activity.state, activity.error_id) == (State.FAILED, "cron-failed")
    assert "bad ended with exit code 4" in activity.outcome


def test_a_run_does_not_hold_up_what_waits_behind_it(engine: Engine, settings: Any) -> None:
    activity = run_now(engine, "long")
    behind = engine.push({**WITH_CRONS, "new": "x"})
    began = time.monotonic()
    assert engine.run(activity).state == State.SUCCEEDED
    assert time.monotonic() - began < 15
    assert "goes on by itself" in activity.outcome
    assert CronRun.objects.get().is_running
    settings.CRON_PATIENCE = 0.2
    assert engine.run(behind).state == State.SUCCEEDED
    crons_pipeline.take_in(engine.environment, engine.runtime)
    run = CronRun.objects.get()
    assert (run.outcome, run.ended_at is None) == ("stopped", False)


def test_a_run_that_takes_long_is_followed_for_a_while_only(engine: Engine, settings: Any) -> None:
    settings.CRON_FOLLOW = 0.2
    activity = engine.run(run_now(engine, "long"))
    assert activity.state == State.SUCCEEDED
    assert CronRun.objects.get().is_running


def test_a_cancelled_run_is_stopped(engine: Engine, crons: FakeCrons, monkeypatch: pytest.MonkeyPatch) -> None:
    activity = run_now(engine, "long")
    begin = crons.begin

    def begin_and_cancel(*args: Any, **options: Any) -> None:
        begin(*args, **options)
        Activity.objects.filter(pk=activity.pk).update(cancel_requested_at=timezone.now(), cancelled_by=engine.by)

    monkeypatch.setattr(crons, "begin", begin_and_cancel)
    assert engine.run(activity).state == State.CANCELLED
    run = crons.find(place(engine), activity.pk)
    assert run is not None
    assert (run.outcome, run.note) == (Outcome.STOPPED, f"Cancelled by {engine.by}")


def test_a_run_is_gone_on_with_by_another_worker(engine: Engine, crons: FakeCrons) -> None:
    activity = run_now(engine, "long")
    crons.begin(place(engine), 1, "app", "long", id=activity.pk, by="x")  # what the lost worker had asked for
    crons.end(place(engine), activity.pk, Outcome.SUCCEEDED, 0, output=b"done\n")
    assert engine.run(activity).state == State.SUCCEEDED
    assert "done\n" in log_of(activity)


def test_a_cron_that_runs_already_is_not_begun_again(engine: Engine, crons: FakeCrons) -> None:
    crons.begin(place(engine), 1, "app", "long", id="running1")
    crons_pipeline.take_in(engine.environment, engine.runtime)
    with pytest.raises(Conflict, match="long runs since"):
        run_now(engine, "long")
    CronRun.objects.all().delete()  # not taken in yet: the runtime itself refuses
    activity = engine.run(run_now(engine, "long"))
    assert (activity.state, activity.error_id) == (State.FAILED, "cron-busy")
    run_now(engine, "tick")
    with pytest.raises(Conflict, match="asked for a run of tick already"):
        run_now(engine, "tick")


def test_who_may_run_a_cron_is_who_may_have_a_shell(engine: Engine) -> None:
    contributor, viewer = (member(engine.project, integration=role) for role in ("contributor", "viewer"))
    actions.run(engine.environment, app="app", cron="tick", by=contributor)
    with pytest.raises(Denied):
        actions.run(engine.environment, app="app", cron="bad", by=viewer)
    with pytest.raises(Missing):
        actions.run(engine.environment, app="app", cron="none", by=engine.by)


# -- taking in --------------------------------------------------------------------------------------------------------


def test_secrets_in_the_output_of_a_run_are_not_kept(engine: Engine, crons: FakeCrons) -> None:
    crons.begin(place(engine), 1, "app", "tick", id="running1")
    Project.objects.update(entropy_sealed=encrypt("q7" * 28))
    engine.environment.refresh_from_db()
    said = f"it is {'q7' * 28}\0.\n".encode()
    crons.end(place(engine), "running1", Outcome.FAILED, 1, output=said)
    crons_pipeline.take_in(engine.environment, engine.runtime)
    assert CronRun.objects.get().output == "it is [secret].\n"


def test_a_run_that_the_runtime_does_not_know_any_more_is_lost(engine: Engine) -> None:
    CronRunFactory(environment=engine.environment, id="gone01", outcome="running", ended_at=None)
    crons_pipeline.take_in(engine.environment, engine.runtime)
    run = CronRun.objects.get()
    assert (run.outcome, run.ended_at is None) == ("lost", False)


def test_taking_in_twice_changes_nothing(engine: Engine, crons: FakeCrons) -> None:
    crons.begin(place(engine), 1, "app", "long", id="running1")
    for _ in range(2):
        crons_pipeline.take_in(engine.environment, engine.runtime)
    assert CronRun.objects.get().is_running
    crons.end(place(engine), "running1", Outcome.SUCCEEDED, 0)
    for _ in range(2):
        crons_pipeline.take_in_all()
    assert CronRun.objects.get().outcome == "succeeded"


def test_old_runs_and_all_but_the_latest_are_thrown_away(engine: Engine, settings: Any) -> None:
    now = timezone.now()
    for number in range(53):
        CronRunFactory(environment=engine.environment, cron="often", started_at=now - timedelta(minutes=number))
    CronRunFactory(environment=engine.environment, cron="rare", started_at=now - timedelta(days=29))
    CronRunFactory(environment=engine.environment, cron="ancient", started_at=now - timedelta(days=31))
    crons_pipeline.prune()
    assert CronRun.objects.filter(cron="often").count() == 50
    assert CronRun.objects.filter(cron="often").latest("started_at").started_at == now
    assert list(CronRun.objects.exclude(cron="often").values_list("cron", flat=True)) == ["rare"]


# -- where crons run --------------------------------------------------------------------------------------------------


def test_crons_are_switched_off_and_on(engine: Engine, crons: FakeCrons) -> None:
    for enabled in (False, True):
        actions.enable(engine.environment, enabled=enabled, by=engine.by)
        crons_pipeline.take_in_all()
        assert crons.allowed(place(engine)) is enabled
    assert AuditEvent.objects.filter(action="environment.crons").count() == 2


def test_crons_sleep_without_deployments_until_somebody_wants_them(engine: Engine, crons: FakeCrons) -> None:
    long_ago = timezone.now() - timedelta(days=15)
    Environment.objects.filter(pk=engine.environment.pk).update(deployed_at=long_ago)
    crons_pipeline.take_in_all()
    assert not crons.allowed(place(engine))
    engine.environment.refresh_from_db()
    actions.enable(engine.environment, enabled=True, by=engine.by)
    crons_pipeline.take_in_all()
    assert crons.allowed(place(engine))
    Environment.objects.filter(pk=engine.environment.pk).update(crons_kept_at=long_ago)
    crons_pipeline.take_in_all()
    assert not crons.allowed(place(engine))
    assert engine.run(engine.ask(Kind.REDEPLOY)).state == State.SUCCEEDED
    crons_pipeline.take_in_all()
    assert crons.allowed(place(engine))


def test_crons_of_production_never_sleep(engine: Engine) -> None:
    production = engine.project.environments.get(branch="production")
    production.deployed_at = timezone.now() - timedelta(days=400)
    assert production.crons_allowed
