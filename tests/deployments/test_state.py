import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone

from deployments import state
from deployments.enums import Fault, State, StepState
from deployments.models import Activity
from tests.factories import ActivityFactory, EnvironmentFactory, StepFactory

pytestmark = pytest.mark.django_db(transaction=True)


def pending(**values: Any) -> Activity:
    return ActivityFactory(state=State.PENDING, **values)


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Run `work` in threads that begin together; their results."""
    barrier, results = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        barrier.wait()
        try:
            results[number] = work(number)  # type: ignore[call-overload]
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_claim_is_made_once_however_many_ask() -> None:
    activity = pending()
    claims = [claim for claim in at_once(8, lambda number: state.claim(activity.pk, f"worker {number}")) if claim]
    assert len(claims) == 1
    activity.refresh_from_db()
    assert (activity.state, activity.fence, activity.attempts) == (State.RUNNING, 1, 1)
    assert activity.lease_until is not None
    assert activity.lease_until > timezone.now()


def test_one_environment_runs_one_activity_however_many_are_claimed_at_once() -> None:
    environment = EnvironmentFactory()
    activities = [pending(environment=environment) for _ in range(6)]
    claims = [claim for claim in at_once(6, lambda number: state.claim(activities[number].pk, "w")) if claim]
    assert [claim.pk for claim in claims] == [activities[0].pk]


def test_activities_of_an_environment_run_in_the_order_of_asking() -> None:
    environment = EnvironmentFactory()
    first, second = pending(environment=environment), pending(environment=environment)
    assert state.claim(second.pk, "w") is None
    claimed = state.claim(first.pk, "w")
    assert claimed
    assert state.claim(second.pk, "w") is None
    state.finish(claimed, State.SUCCEEDED, outcome="Done.")
    assert state.claim(second.pk, "w")


def test_another_environments_activity_waits_for_nobody() -> None:
    assert state.claim(pending().pk, "w")
    assert state.claim(pending().pk, "w")


def test_a_running_activity_elsewhere_is_refused_by_the_database_itself() -> None:
    environment = EnvironmentFactory()
    running = ActivityFactory(environment=environment, state=State.RUNNING, sequence=99)
    later = pending(environment=environment, sequence=1)  # an earlier number that came late
    assert state.claim(later.pk, "w") is None
    assert Activity.objects.get(pk=running.pk).state == State.RUNNING


def test_only_the_holder_can_finish() -> None:
    activity = pending()
    stale = state.claim(activity.pk, "one")
    assert stale
    Activity.objects.filter(pk=activity.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    reaper = state.take_over(activity.pk, "two")
    assert reaper
    for write in (
        lambda: state.finish(stale, State.SUCCEEDED, outcome="Done."),
        lambda: state.heartbeat(stale),
        lambda: state.requeue(stale),
    ):
        with pytest.raises(state.LostLease):
            write()
    with pytest.raises(state.LostLease), state.fenced(stale):
        pytest.fail("the body must not run")
    state.finish(reaper, State.FAILED, outcome="Lost.", fault=Fault.PLATFORM, error_id="worker-lost")
    activity.refresh_from_db()
    assert (activity.state, activity.outcome, activity.error_id) == (State.FAILED, "Lost.", "worker-lost")
    assert activity.finished_at is not None


def test_an_activity_is_taken_over_once_and_only_when_its_lease_is_over(settings: Any) -> None:
    settings.LEASE = 0.3
    activity = pending()
    assert state.claim(activity.pk, "one")
    assert state.take_over(activity.pk, "two") is None
    time.sleep(0.35)
    settings.LEASE = 30
    takers = [taker for taker in at_once(4, lambda number: state.take_over(activity.pk, f"{number}")) if taker]
    assert len(takers) == 1


def test_a_heartbeat_renews_the_lease_and_tells_of_a_cancellation(settings: Any) -> None:
    activity = state.claim(pending().pk, "one")
    assert activity
    assert state.heartbeat(activity) is False
    assert state.request_cancel(activity.pk, by=None)
    assert state.heartbeat(activity) is True


def test_a_fenced_transaction_keeps_a_reaper_out(settings: Any) -> None:
    settings.LEASE = 0.2
    activity = state.claim(pending().pk, "one")
    assert activity
    order = []

    def reap() -> None:
        time.sleep(0.35)
        order.append("taken" if state.take_over(activity.pk, "two") else "refused")
        connection.close()

    thread = threading.Thread(target=reap)
    thread.start()
    with state.fenced(activity):
        time.sleep(0.6)
        order.append("switched")
    thread.join()
    assert order == ["switched", "taken"]


def test_a_withdrawn_activity_is_final_and_cannot_be_claimed() -> None:
    activity = pending()
    assert state.withdraw(activity.pk, by=None, outcome="Cancelled.")
    assert not state.withdraw(activity.pk, by=None, outcome="Cancelled.")
    assert state.claim(activity.pk, "w") is None
    activity.refresh_from_db()
    assert activity.state == State.CANCELLED


def test_finishing_leaves_no_step_waiting() -> None:
    activity = pending()
    StepFactory(activity=activity, position=1, state=StepState.PENDING)
    claimed = state.claim(activity.pk, "w")
    assert claimed
    state.finish(claimed, State.FAILED, outcome="No.")
    assert activity.steps.get().state == StepState.SKIPPED


def test_a_step_moves_only_as_the_table_says_and_only_by_the_holder() -> None:
    activity = state.claim(pending().pk, "w")
    assert activity
    step = StepFactory(activity=activity, state=StepState.PENDING)
    with pytest.raises(ValueError, match="cannot go from pending to succeeded"):
        state.move_step(activity, step, StepState.SUCCEEDED)
    state.move_step(activity, step, StepState.RUNNING)
    state.move_step(activity, step, StepState.SUCCEEDED, "reused")
    step.refresh_from_db()
    assert (step.state, step.note) == (StepState.SUCCEEDED, "reused")
    other = StepFactory(activity=activity, state=StepState.PENDING)
    Activity.objects.filter(pk=activity.pk).update(fence=7)
    with pytest.raises(state.LostLease):
        state.move_step(activity, other, StepState.RUNNING)


def test_every_state_can_be_left_or_is_final() -> None:
    left = {before for before, _ in state.TRANSITIONS.values()}
    reached = {after for _, after in state.TRANSITIONS.values()}
    assert left == {each for each in State if not each.is_final}
    assert reached | {State.PENDING} == set(State)


def test_the_documents_hold_the_present_diagram() -> None:
    text = (Path(django_settings.BASE_DIR) / "docs" / "activities.md").read_text()
    assert f"```mermaid\n{state.diagram()}\n```" in text
