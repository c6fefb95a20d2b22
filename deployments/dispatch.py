"""The queue, which is only a nudge: the one place that knows Celery's task names, queues and timetable.

Nothing depends on a message arriving. What is pending and was not picked up is sent again by the sweep.
"""

import logging
import time
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from kombu.exceptions import OperationalError

from deployments.enums import State
from deployments.models import Activity
from portal.celery import app

RUN = "deployments.run"
SWEEP = "deployments.sweep"
RECONCILE = "deployments.reconcile"
ROUNDS = "deployments.rounds"
PREPARE = "deployments.prepare"
MEASURE = "deployments.measure_mounts"
STOP_CRON = "deployments.stop_cron"
ALIGN_CRONS = "deployments.align_crons"
RESTART_WORKER = "deployments.restart_worker"
ACTIVITIES, HOUSEKEEPING = "activities", "housekeeping"

_RECONCILE_EVERY = 60.0  # seconds
_ROUNDS_EVERY = 10.0  # seconds between two looks at what is due
_PAUSE = 5.0  # seconds without a try after the broker did not answer: a request must not wait for it again and again

logger = logging.getLogger(__name__)
_silent_until = 0.0

# What every worker sends itself, and how often (seconds). Two workers send twice, which does no harm.
TIMETABLE: dict[str, float] = {
    SWEEP: settings.SWEEP,
    RECONCILE: _RECONCILE_EVERY,
    ROUNDS: _ROUNDS_EVERY,
}


def nudge(activity_id: str) -> None:
    """Tell a worker to look at the activity. Never raises because of the broker: the sweep will send again."""
    Activity.objects.filter(pk=activity_id, state=State.PENDING).update(dispatched_at=Now())
    _send(RUN, [activity_id], ACTIVITIES)


def prepare() -> None:
    """Have a worker make, beside its other work, what the first environment would wait for. Lost, it is made then."""
    _send(PREPARE, [], HOUSEKEEPING)


def stop_cron(run_id: str, why: str) -> None:
    """Lost, the person asks once more."""
    _send(STOP_CRON, [run_id, why], HOUSEKEEPING, expires=60)


def align_crons(environment_id: int) -> None:
    """Lost, a round does it within seconds."""
    _send(ALIGN_CRONS, [environment_id], HOUSEKEEPING, expires=60)


def restart_worker(environment_id: int, number: int, name: str) -> None:
    _send(RESTART_WORKER, [environment_id, number, name], HOUSEKEEPING, expires=60)


def measure_mounts(environment_id: int) -> None:
    """Have a worker find out how much lies in an environment's mounts. Lost, it is asked for again."""
    _send(MEASURE, [environment_id], HOUSEKEEPING)


def send_due(name: str) -> None:
    """One entry of the timetable; behind long work it is worth nothing any more once its successors are sent."""
    _send(name, [], HOUSEKEEPING, expires=max(2 * TIMETABLE[name], 2))


def _send(name: str, arguments: Sequence[object], queue: str, *, expires: float | None = None) -> None:
    global _silent_until
    if time.monotonic() < _silent_until:
        return
    try:
        app.send_task(name, args=list(arguments), queue=queue, expires=expires, retry=False, ignore_result=True)
    except (OSError, OperationalError) as error:
        _silent_until = time.monotonic() + _PAUSE
        logger.warning("The queue does not answer (%s); activities wait for the sweep.", error)


def nudge_on_commit(activity_id: str) -> None:
    transaction.on_commit(lambda: nudge(activity_id))


def nudge_next(activity: Activity) -> None:
    """Nudge what waits behind a finished activity of the same environment."""
    if activity.environment_id is None:
        return
    waiting = Activity.objects.filter(environment_id=activity.environment_id, state=State.PENDING)
    following = waiting.order_by("sequence").values_list("pk", flat=True).first()
    if following:
        nudge(following)
