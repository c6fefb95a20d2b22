"""What makes the queue only a nudge: activities whose worker is gone are ended or sent on, what waits is sent again.

Safe to run at any time, in several places at once, and as often as one likes.
"""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now

from deployments import dispatch, state
from deployments.enums import Fault, State, StepState
from deployments.logs import LogWriter
from deployments.models import Activity, Step
from deployments.pipeline import procedures, rounds, runner
from deployments.pipeline.context import RED
from deployments.pipeline.keeper import Keeper
from deployments.redaction import Redactor
from deployments.state import LostLease
from environments import runtimes

_SENT_AGAIN = 20  # in one sweep: while all workers are busy for long, what is sent again only waits a second time

logger = logging.getLogger(__name__)


def sweep() -> None:
    expired = Activity.objects.filter(state=State.RUNNING, lease_until__lt=Now())
    for activity_id in list(expired.values_list("pk", flat=True)):
        try:
            reap(activity_id)
        except LostLease as error:
            logger.warning("%s Somebody else ends it.", error)
        except Exception:
            logger.exception("Activity %s could not be ended; the next sweep tries again", activity_id)
    unheard = Q(dispatched_at__isnull=True) | Q(dispatched_at__lt=Now() - timedelta(seconds=2 * settings.SWEEP))
    waiting = Activity.objects.in_turn().filter(unheard).order_by("created_at", "sequence")
    for activity_id in list(waiting.values_list("pk", flat=True)[:_SENT_AGAIN]):
        dispatch.nudge(activity_id)


@contextmanager
def meanwhile() -> Iterator[None]:
    """Sweep and look at what is due now and then while the body runs: when all workers are at work for long, what they
    would be sent for that waits behind it."""
    ended = threading.Event()

    def keep_sweeping() -> None:
        try:
            while not ended.wait(2 * settings.SWEEP):
                try:
                    sweep()
                    rounds.run_due()
                except Exception:
                    logger.exception("A sweep failed; the next one tries again")
        finally:
            connection.close()

    thread = threading.Thread(target=keep_sweeping, name="sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def reap(activity_id: str) -> None:
    """End or send on a running activity whose lease is over. Raises LostLease when another sweep was faster."""
    activity = state.take_over(activity_id, worker=f"reaper:{socket.gethostname()}:{os.getpid()}")
    if activity is None:
        return
    with Keeper(activity):
        procedure = procedures.of(activity)
        begun = activity.steps.exclude(state=StepState.PENDING).order_by("-position").first()
        go_on = begun is None or procedure.resumes(activity)
        if activity.cancel_requested_at and (begun is None or not go_on):
            _end(activity, begun, State.CANCELLED, f"Cancelled by {activity.cancelled_by or 'Slipway'}.")
        elif not go_on:
            _end(activity, begun, State.FAILED, _lost_in(begun), "worker-lost")
        elif activity.attempts >= state.MAX_ATTEMPTS:
            times = f"{_lost_in(begun)} That was attempt {activity.attempts}: it is set aside."
            _end(activity, begun, State.FAILED, times, "worker-lost-repeatedly")
        else:
            _send_on(activity, begun)


def _lost_in(step: Step | None) -> str:
    return f"The worker was lost in step {step.title}." if step else "The worker was lost before the first step."


def _end(activity: Activity, step: Step | None, ending: State, outcome: str, error_id: str = "") -> None:
    runner.undo(procedures.of(activity), activity, runtimes.get())
    outcome = f"{outcome} {runner.kept(activity)}".strip()
    if step is not None and step.state == StepState.RUNNING:
        step_ending = StepState.CANCELLED if ending is State.CANCELLED else StepState.FAILED
        state.move_step(activity, step, step_ending)
    _log(activity, f"{RED}{outcome}\x1b[0m")
    fault = Fault.PLATFORM if ending is State.FAILED else None
    state.finish(activity, ending, outcome=outcome, fault=fault, error_id=error_id)
    runner.ended(activity)


def _send_on(activity: Activity, step: Step | None) -> None:
    _log(activity, f"{_lost_in(step)} Another one goes on from there.")
    state.requeue(activity)
    runner.publish(activity, "state")
    dispatch.nudge(activity.pk)


def _log(activity: Activity, text: str) -> None:
    log = LogWriter(activity.pk, Redactor(), claim=activity)
    log.line()
    log.line(text)
    log.close()
