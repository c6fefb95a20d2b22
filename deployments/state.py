"""The one table of legal transitions, and the only writer of an activity's state.

Every write is a compare-and-set: it names the state it expects and, once claimed, the claim (worker and fence). Whoever
lost the claim gets LostLease and must stop what it runs. Times are the database's own, so that hosts need not agree.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from deployments.enums import Fault, State, StepState
from deployments.models import Activity, Step
from portal.models import User

MAX_ATTEMPTS = 3


class Cause(StrEnum):
    """What moves an activity from one state to the next."""

    CLAIM = "a worker claims it"
    WITHDRAW = "cancelled before it began"
    SUCCEED = "its last step is done"
    FAIL = "a step fails, or its worker is lost before the switch"
    STOP = "cancelled while it ran"
    REQUEUE = "its worker is lost after the switch"


TRANSITIONS: dict[Cause, tuple[State, State]] = {
    Cause.CLAIM: (State.PENDING, State.RUNNING),
    Cause.WITHDRAW: (State.PENDING, State.CANCELLED),
    Cause.SUCCEED: (State.RUNNING, State.SUCCEEDED),
    Cause.FAIL: (State.RUNNING, State.FAILED),
    Cause.STOP: (State.RUNNING, State.CANCELLED),
    Cause.REQUEUE: (State.RUNNING, State.PENDING),
}

STEP_TRANSITIONS: frozenset[tuple[StepState, StepState]] = frozenset(
    {
        (StepState.PENDING, StepState.RUNNING),
        (StepState.PENDING, StepState.SKIPPED),
        (StepState.RUNNING, StepState.RUNNING),  # taken up again after its worker was lost
        (StepState.RUNNING, StepState.SUCCEEDED),
        (StepState.RUNNING, StepState.SKIPPED),
        (StepState.RUNNING, StepState.FAILED),
        (StepState.RUNNING, StepState.CANCELLED),
    }
)

_ENDINGS = {State.SUCCEEDED: Cause.SUCCEED, State.FAILED: Cause.FAIL, State.CANCELLED: Cause.STOP}


class LostLease(Exception):
    """The claim is somebody else's by now: stop, and write nothing more."""


def diagram() -> str:
    """The table as a Mermaid state diagram; docs/activities.md holds a copy."""
    lines = ["stateDiagram-v2", "    [*] --> pending"]
    lines += [f"    {before} --> {after}: {cause}" for cause, (before, after) in TRANSITIONS.items()]
    lines += [f"    {state} --> [*]" for state in State if state.is_final]
    return "\n".join(lines)


def claim(activity_id: str, worker: str) -> Activity | None:
    """Take a pending activity, when nothing that was asked of its environment before is still open.

    Returns it with the new claim, or None when it is not pending or not its turn.
    """
    try:
        with transaction.atomic():
            claimed = (
                Activity.objects.in_turn()
                .filter(pk=activity_id)
                .update(
                    state=TRANSITIONS[Cause.CLAIM][1],
                    worker=worker,
                    fence=F("fence") + 1,
                    attempts=F("attempts") + 1,
                    lease_until=Now() + _lease(),
                    started_at=Coalesce("started_at", Now()),
                )
            )
            return _claimed(activity_id) if claimed else None
    except IntegrityError:  # one_running_activity_per_environment: another worker was a moment faster
        return None


def take_over(activity_id: str, worker: str) -> Activity | None:
    """Claim a running activity whose lease is over, to clean up after its worker. None when another was faster."""
    with transaction.atomic():
        taken = Activity.objects.filter(pk=activity_id, state=State.RUNNING, lease_until__lt=Now()).update(
            worker=worker, fence=F("fence") + 1, lease_until=Now() + _lease()
        )
        return _claimed(activity_id) if taken else None


def _claimed(activity_id: str) -> Activity:
    """Read in the transaction of the claim: later the claim may be somebody else's."""
    return Activity.objects.select_related("project", "environment__parent", "actor", "cancelled_by").get(
        pk=activity_id
    )


def heartbeat(activity: Activity) -> bool:
    """Renew the lease; says whether somebody asked to cancel. Raises LostLease."""
    _held(activity, lease_until=Now() + _lease())
    return cancel_requested(activity)


def cancel_requested(activity: Activity) -> bool:
    return Activity.objects.filter(pk=activity.pk, cancel_requested_at__isnull=False).exists()


@contextmanager
def fenced(activity: Activity) -> Iterator[None]:
    """A transaction that holds the activity's row under a valid claim: nobody can take it over while the body runs.

    Raises LostLease before the body when the claim is gone.
    """
    with transaction.atomic():
        _held(activity, lease_until=Now() + _lease())
        yield


def finish(activity: Activity, state: State, *, outcome: str, fault: Fault | None = None, error_id: str = "") -> None:
    """End a running activity. Raises LostLease."""
    with transaction.atomic():
        _held(
            activity,
            state=TRANSITIONS[_ENDINGS[state]][1],
            outcome=outcome,
            fault=fault.value if fault else "",
            error_id=error_id,
            finished_at=Now(),
            lease_until=None,
        )
        Step.objects.filter(activity=activity, state=StepState.PENDING).update(state=StepState.SKIPPED)
    activity.refresh_from_db(fields=["state", "outcome", "fault", "error_id", "finished_at", "lease_until"])


def requeue(activity: Activity) -> None:
    """Give a running activity back to the queue, so that its remaining steps are run. Raises LostLease."""
    _held(activity, state=TRANSITIONS[Cause.REQUEUE][1], lease_until=None, worker="", dispatched_at=None)


def withdraw(activity_id: str, *, by: User | None, outcome: str) -> bool:
    """Cancel an activity that never began; False when it did. What a worker was lost in, another one ends."""
    before, after = TRANSITIONS[Cause.WITHDRAW]
    changed = Activity.objects.filter(pk=activity_id, state=before, started_at__isnull=True).update(
        state=after, outcome=outcome, cancelled_by=by, cancel_requested_at=Now(), finished_at=Now()
    )
    return bool(changed)


def request_cancel(activity_id: str, *, by: User | None) -> bool:
    """Ask whoever carries the activity out, or goes on with it, to stop; False when it has ended or never began."""
    return bool(
        Activity.objects.open()
        .filter(pk=activity_id, started_at__isnull=False)
        .update(cancel_requested_at=Coalesce("cancel_requested_at", Now()), cancelled_by=by)
    )


def move_step(activity: Activity, step: Step, state: StepState, note: str = "") -> None:
    """Record a step's next state. Raises ValueError for a move that the table does not have, LostLease."""
    if (StepState(step.state), state) not in STEP_TRANSITIONS:
        raise ValueError(f"A step cannot go from {step.state} to {state}.")
    held = Step.objects.filter(pk=step.pk, activity__fence=activity.fence, activity__worker=activity.worker)
    if state is StepState.RUNNING:
        changed = held.update(state=state, started_at=Coalesce("started_at", Now()))
    else:
        changed = held.update(state=state, note=note[:120], finished_at=Now())
    if not changed:
        raise LostLease(f"The claim on activity {activity.pk} is gone.")
    step.state, step.note = state, note[:120]


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE)


def _held(activity: Activity, **values: object) -> None:
    changed = Activity.objects.filter(
        pk=activity.pk, state=State.RUNNING, fence=activity.fence, worker=activity.worker
    ).update(**values)
    if not changed:
        raise LostLease(f"The claim on activity {activity.pk} is gone.")
