"""What deployments do about crons: a pause, a limit, and crons that run again however it ends."""

from pathlib import Path
from typing import Any

import pytest

from deployments.enums import Kind, State
from deployments.models import Activity
from deployments.pipeline import reconciling, specs
from environments.process import Watch
from environments.runtimes.crons import Outcome
from environments.runtimes.fake_crons import FakeCrons
from portal.paths import Home
from tests.deployments.engine import APP, FILES, Engine, log_of, steps_of

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
