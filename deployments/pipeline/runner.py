"""Carrying an activity out: claim it, run its parts, say how it ended."""

import logging
from collections.abc import Sequence

from django.db import Error as DatabaseError
from django.db import transaction

from deployments import dispatch, live, state
from deployments.enums import Fault, State, StepState
from deployments.models import Activity, Release, Step
from deployments.pipeline import procedures
from deployments.pipeline.context import PLAIN, RED, Context, Part, Procedure
from deployments.pipeline.failures import Reason, sort
from deployments.pipeline.keeper import Keeper
from deployments.state import LostLease
from environments import drift, runtimes
from environments.manifest import ManifestError
from environments.process import Stopped
from environments.runtimes.base import Runtime

logger = logging.getLogger(__name__)


def run(activity_id: str, worker: str) -> None:
    """Run the activity if it is its turn. Whatever happens in it is recorded; nothing is raised."""
    activity = state.claim(activity_id, worker)
    if activity is None:
        return
    publish(activity, "state")
    runtime = runtimes.get()
    try:
        with Keeper(activity) as keeper:
            context = Context(activity, runtime, keeper)
            try:
                _carry_out(context, procedures.of(activity))
            finally:
                context.log.abandon()
    except LostLease as error:
        logger.warning("%s Its worker stops.", error)
        return
    ended(activity)


def ended(activity: Activity) -> None:
    """Tell the pages, and whoever waits behind it."""
    publish(activity, "steps", "state")
    dispatch.nudge_next(activity)
    drift.refresh(activity.project)
    live.publish(f"project:{activity.project_id}", "environment")


def publish(activity: Activity, *kinds: str) -> None:
    for kind in kinds:
        live.publish(f"activity:{activity.pk}", kind)
    if "state" in kinds:
        live.publish(f"project:{activity.project_id}", "activity")


def _carry_out(context: Context, procedure: Procedure) -> None:
    activity = context.activity
    try:
        _run_parts(context, procedure)
        ending, reason = State.SUCCEEDED, None
    except (LostLease, DatabaseError):  # nothing more can be written: a sweep ends it, or sends it on
        raise
    except _Ended as end:
        ending, reason = end.state, end.reason
    except Exception as error:  # the steps could not even be planned
        ending, reason = State.FAILED, sort(error, doing="Planning the steps")
    outcome = context.outcome or "Done."
    if reason is not None:
        undo(procedure, activity, context.runtime)
        sentence, _, details = reason.message.partition("\n")  # such as the end of a program's own log
        outcome = f"{sentence} {kept(activity)}".strip()
        context.log.line(f"\n{details}\n" if details else "")
        context.log.line(f"{RED}{outcome}{PLAIN}")
    context.log.close()
    outcome = context.redactor.text(outcome)
    fault, error_id = (reason.fault, reason.error_id) if reason and ending is State.FAILED else (None, "")
    state.finish(activity, ending, outcome=outcome, fault=fault, error_id=error_id)


class _Ended(Exception):
    def __init__(self, ending: State, reason: Reason) -> None:
        super().__init__(reason.message)
        self.state = ending
        self.reason = reason


def _run_parts(context: Context, procedure: Procedure) -> None:
    done: set[str] = set()
    while True:
        parts = procedure.parts(context)
        steps = _record(context.activity, parts)
        waiting = [part for part in parts if part.name not in done]
        done |= {part.name for part in waiting if StepState(steps[part.name].state) in _OVER}
        part = next((part for part in waiting if part.name not in done), None)
        if part is None:
            return
        _run_part(context, part, steps[part.name])
        done.add(part.name)


_OVER = (StepState.SUCCEEDED, StepState.SKIPPED)


def _run_part(context: Context, part: Part, step: Step) -> None:
    context.cancellable = part.cancellable
    try:
        context.check()
        state.move_step(context.activity, step, StepState.RUNNING)
        publish(context.activity, "steps")
        note = part.run(context)
        context.log.end_line()
    except LostLease:
        raise
    except Stopped:
        context.check_lost()
        state.move_step(context.activity, step, _stopped(step))
        who = Activity.objects.select_related("cancelled_by").get(pk=context.activity.pk).cancelled_by
        message = f"Cancelled by {who or 'Slipway'} in step {part.title}."
        raise _Ended(State.CANCELLED, Reason("cancelled", message, Fault.USER)) from None
    except Exception as error:
        if isinstance(error, ManifestError):
            context.log.line(str(error))
        reason = sort(error, doing=part.title)
        state.move_step(context.activity, step, StepState.FAILED)
        raise _Ended(State.FAILED, reason) from error
    state.move_step(context.activity, step, StepState.SUCCEEDED, note or "")
    publish(context.activity, "steps")


def _stopped(step: Step) -> StepState:
    return StepState.CANCELLED if step.state == StepState.RUNNING else StepState.SKIPPED


def _record(activity: Activity, parts: Sequence[Part]) -> dict[str, Step]:
    """Bring the recorded steps in line with the plan: what began stays, what waits is written anew where it differs."""
    steps = list(activity.steps.order_by("position"))
    waiting = [part for part in parts if part.name not in {step.name for step in steps if step.state != "pending"}]
    pending = [step for step in steps if step.state == StepState.PENDING]
    if [(step.name, step.title) for step in pending] != [(part.name, part.title) for part in waiting]:
        begun = [step for step in steps if step.state != StepState.PENDING]
        first = begun[-1].position + 1 if begun else 1
        fresh = [
            Step(activity=activity, position=first + index, name=part.name, title=part.title[:120])
            for index, part in enumerate(waiting)
        ]
        with transaction.atomic():
            Step.objects.filter(activity=activity, state=StepState.PENDING).delete()
            Step.objects.bulk_create(fresh)
        steps = begun + fresh
        publish(activity, "steps")
    return {step.name: step for step in steps}


def kept(activity: Activity) -> str:
    """Says that what served before serves on, when something does."""
    if activity.environment is None:
        return ""
    serving = Release.objects.filter(environment=activity.environment, state=Release.State.LIVE)
    release = serving.exclude(activity=activity).first()
    if release is not None and activity.environment.is_paused:
        return f"{activity.environment.title} stays paused with {release}."
    return f"{release} keeps serving." if release else ""


def undo(procedure: Procedure, activity: Activity, runtime: Runtime) -> None:
    try:
        procedure.undo(activity, runtime)
    except Exception:
        logger.exception("What activity %s left could not be removed; the reconciler tries again", activity.pk)


def warm_up() -> None:
    """Load what the first activity would have to wait for; all modules are here by now, the runtime's are not."""
    runtimes.get()
