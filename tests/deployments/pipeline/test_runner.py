import dataclasses
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from deployments import dispatch, state
from deployments.actions import activities
from deployments.enums import Fault, Kind, State, StepState
from deployments.models import Activity, Release
from deployments.pipeline import procedures, runner, sweeping
from tests.deployments.engine import APP, FILES, Engine, log_of
from tests.deployments.pipeline.test_deploy import check_serving
from tests.factories import ActivityFactory


def sleeping(key: str = "deploy", seconds: int = 60) -> dict[str, str]:
    line = {"build": "echo building", "deploy": "echo deploying"}[key]
    return FILES | {".platform.app.yaml": APP.replace(line, f"sleep {seconds}")}


def in_the_background(work: Callable[[], object]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def step_runs(activity: Activity, name: str) -> bool:
    return activity.steps.filter(name=name, state=StepState.RUNNING).exists()


def test_cancelling_stops_the_running_command_at_once(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.push(sleeping())
    thread = in_the_background(lambda: runner.run(activity.pk, "w"))
    wait_for(lambda: step_runs(activity, "deploy_hook:app"))
    activities.cancel(activity, by=engine.by)
    thread.join(8)
    assert not thread.is_alive()
    activity.refresh_from_db()
    assert activity.state == State.CANCELLED
    assert activity.outcome == f"Cancelled by {engine.by} in step Deploy hook. v1 keeps serving."
    assert activity.steps.get(name="deploy_hook:app").state == StepState.CANCELLED
    check_serving(engine, 1)


def test_it_is_too_late_to_cancel_after_the_switch(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    app = APP + "    post_deploy: |\n        sleep 3\n"
    activity = engine.push(FILES | {".platform.app.yaml": app})
    thread = in_the_background(lambda: runner.run(activity.pk, "w"))
    wait_for(lambda: step_runs(activity, "post_deploy:app"))
    activities.cancel(activity, by=engine.by)
    thread.join()
    activity.refresh_from_db()
    assert activity.state == State.SUCCEEDED
    check_serving(engine, 2)


def test_a_hook_over_its_time_limit_fails_the_deployment(engine: Engine, settings: Any) -> None:
    settings.HOOK_TIMEOUT = 0.5
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.run(engine.push(sleeping()))
    assert (activity.state, activity.fault, activity.error_id) == (State.FAILED, Fault.USER, "time-limit")
    assert "ran longer than 0.5 seconds" in activity.outcome
    check_serving(engine, 1)


def test_a_silent_build_fails_by_the_silence_limit(engine: Engine, settings: Any) -> None:
    settings.SILENCE_TIMEOUT = 0.5
    activity = engine.run(engine.push(sleeping("build")))
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert (activity.state, activity.error_id) == (State.FAILED, "silence-limit")


def test_losing_the_lease_kills_the_command_and_ends_the_work(engine: Engine, settings: Any) -> None:
    settings.HEARTBEAT = 0.1
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.push(sleeping())
    thread = in_the_background(lambda: runner.run(activity.pk, "w"))
    wait_for(lambda: step_runs(activity, "deploy_hook:app"))
    Activity.objects.filter(pk=activity.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    sweeping.sweep()
    thread.join(8)
    assert not thread.is_alive()
    activity.refresh_from_db()
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost")
    assert activity.outcome == "The worker was lost in step Deploy hook. v1 keeps serving."
    assert log_of(activity).rstrip().endswith("v1 keeps serving.\x1b[0m")
    check_serving(engine, 1)


def lose(activity: Activity, **values: Any) -> None:
    """As a worker leaves it that was killed some time ago."""
    past = timezone.now() - timedelta(seconds=60)
    Activity.objects.filter(pk=activity.pk).update(
        state=State.RUNNING, worker="dead", fence=5, lease_until=past, **values
    )


def test_what_was_lost_before_its_first_step_begins_again(engine: Engine) -> None:
    activity = engine.ask(Kind.ACTIVATE)
    lose(activity, attempts=1)
    sweeping.sweep()
    activity.refresh_from_db()
    assert activity.state == State.PENDING
    assert engine.run(activity).state == State.SUCCEEDED
    assert "Another one goes on from there." in log_of(activity)


def test_what_loses_its_worker_again_and_again_is_set_aside(engine: Engine) -> None:
    activity = engine.ask(Kind.ACTIVATE)
    lose(activity, attempts=state.MAX_ATTEMPTS)
    sweeping.sweep()
    activity.refresh_from_db()
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost-repeatedly")
    assert engine.run(engine.ask(Kind.ACTIVATE)).state == State.SUCCEEDED


def test_what_was_cancelled_and_lost_ends_cancelled(engine: Engine) -> None:
    activity = engine.ask(Kind.ACTIVATE)
    lose(activity, cancel_requested_at=timezone.now(), cancelled_by=engine.by)
    sweeping.sweep()
    activity.refresh_from_db()
    assert activity.state == State.CANCELLED


def test_what_lost_its_worker_is_cancelled_by_the_next_one_and_not_before(engine: Engine) -> None:
    """It may be beyond the switch: then its last steps are run nevertheless."""
    activity = engine.ask(Kind.ACTIVATE)
    lose(activity, attempts=1, started_at=timezone.now())
    sweeping.sweep()
    activities.cancel(activity, by=engine.by)
    assert (activity.state, activity.cancelled_by) == (State.PENDING, engine.by)
    assert engine.run(activity).state == State.CANCELLED
    assert activity.outcome == f"Cancelled by {engine.by} in step Check configuration."


def test_steps_that_cannot_be_planned_fail_the_activity_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(context: object) -> None:
        raise RuntimeError("no plan")

    procedure = dataclasses.replace(procedures.of(engine.ask(Kind.ACTIVATE)), parts=broken)
    monkeypatch.setattr(procedures, "of", lambda _: procedure)
    activity = engine.run(Activity.objects.get())
    assert (activity.state, activity.error_id, activity.fault) == (State.FAILED, "unexpected", Fault.PLATFORM)
    assert activity.outcome.startswith("Planning the steps failed inside Slipway")


def test_two_sweeps_at_once_end_it_once(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.push(FILES | {"serve.py": "lost"})
    claimed = state.claim(activity.pk, "w")
    assert claimed
    activity.steps.create(position=1, name="build:app", title="Build app", state=StepState.RUNNING)
    Release.objects.create(environment=engine.environment, number=2, activity=activity, commit="0" * 40)
    lose(activity)
    sweeps = [in_the_background(sweeping.sweep) for _ in range(4)]
    for sweep in sweeps:
        sweep.join()
    activity.refresh_from_db()
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost")
    assert log_of(activity).count("The worker was lost") == 1
    check_serving(engine, 1)


def test_the_sweep_sends_again_what_nobody_picked_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, behind = engine.ask(Kind.ACTIVATE), engine.ask(Kind.REDEPLOY)
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "nudge", sent.append)
    long_ago = timezone.now() - timedelta(seconds=60)
    Activity.objects.update(dispatched_at=long_ago)
    sweeping.sweep()
    assert sent == [first.pk]  # what waits behind it is not its turn
    Activity.objects.update(dispatched_at=timezone.now())
    sweeping.sweep()
    assert sent == [first.pk]
    assert behind.state == State.PENDING


def test_a_long_queue_is_not_sent_again_as_a_whole(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    ActivityFactory.create_batch(
        30, project=engine.project, environment=None, kind=Kind.PROJECT_CREATE, state=State.PENDING
    )
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "nudge", sent.append)
    sweeping.sweep()
    oldest = Activity.objects.order_by("created_at", "sequence").values_list("pk", flat=True)
    assert sent == list(oldest)[: sweeping._SENT_AGAIN]


def test_the_next_activity_is_nudged_when_one_ends(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = engine.ask(Kind.ACTIVATE), engine.ask(Kind.REDEPLOY)
    sent: list[str] = []
    monkeypatch.setattr(dispatch, "nudge", sent.append)
    engine.run(first)
    assert sent == [second.pk]
