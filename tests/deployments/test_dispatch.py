import time
from typing import Any

import pytest
from django.db import transaction

from deployments import dispatch
from deployments.enums import State
from tests.factories import ActivityFactory, EnvironmentFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """Task name, activity and queue of what was sent."""
    messages: list[tuple[str, str, str]] = []

    def send_task(name: str, args: list[str], queue: str, **_: Any) -> None:
        messages.append((name, args[0], queue))

    monkeypatch.setattr(dispatch.app, "send_task", send_task)
    monkeypatch.setattr(dispatch, "_silent_until", 0.0)
    return messages


def test_a_nudge_is_sent_and_its_time_recorded(sent: list[tuple[str, str, str]]) -> None:
    activity = ActivityFactory(state=State.PENDING)
    dispatch.nudge(activity.pk)
    assert sent == [(dispatch.RUN, activity.pk, dispatch.ACTIVITIES)]
    activity.refresh_from_db()
    assert activity.dispatched_at is not None


def test_a_nudge_waits_for_the_commit(
    sent: list[tuple[str, str, str]], django_capture_on_commit_callbacks: Any
) -> None:
    activity = ActivityFactory(state=State.PENDING)
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        dispatch.nudge_on_commit(activity.pk)
        assert sent == []
    assert len(sent) == 1


def test_the_next_of_an_environment_is_nudged_in_order(sent: list[tuple[str, str, str]]) -> None:
    environment = EnvironmentFactory()
    done = ActivityFactory(environment=environment)
    second, _third = (ActivityFactory(environment=environment, state=State.PENDING) for _ in range(2))
    ActivityFactory(state=State.PENDING)
    dispatch.nudge_next(done)
    assert [activity for _, activity, _ in sent] == [second.pk]


def test_a_broker_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "_silent_until", 0.0)
    activity = ActivityFactory(state=State.PENDING)
    started = time.monotonic()
    for _ in range(20):
        dispatch.nudge(activity.pk)  # the tests' own Redis does not exist
    assert time.monotonic() - started < 15  # one try each would take 40
    activity.refresh_from_db()
    assert activity.state == State.PENDING


def test_every_task_name_and_entry_of_the_timetable_has_its_door() -> None:
    from deployments import tasks

    doors = {task.name for task in (tasks.run, tasks.sweep, tasks.reconcile, tasks.run_rounds, tasks.prepare)}
    assert doors == {dispatch.RUN, dispatch.SWEEP, dispatch.RECONCILE, dispatch.ROUNDS, dispatch.PREPARE}
    assert set(dispatch.TIMETABLE) == {dispatch.SWEEP, dispatch.RECONCILE, dispatch.ROUNDS}
