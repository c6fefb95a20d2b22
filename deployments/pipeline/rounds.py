"""What is looked at again and again, beside the sweep and the reconciler: one short function each, safe to repeat.

Every worker asks often what is due; the database's clock decides, so each round is begun once however many ask. What
takes long is not done here: a round asks for an activity instead.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now

from deployments.mail import store
from deployments.models import Round
from deployments.pipeline import backup_rounds, crons, disks, idling, removing, watching

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Due:
    name: str  # stable
    every: float  # seconds
    run: Callable[[], None]


ROUNDS: tuple[Due, ...] = (
    Due("drift", 60, removing.count_branches),
    Due("removals-announced", 300, removing.announce),
    Due("removals", 60, removing.carry_out),
    Due("crons", 10, crons.take_in_all),
    Due("cron-history", 3600, crons.prune),
    Due("health", 60, watching.health),
    Due("samples", 60, watching.measure),
    Due("samples-thinned", 3600, watching.thin),
    Due("idle", 60, idling.pause_idle),
    Due("disks-weighed", 600, disks.weigh),
    Due("disks", 60, disks.look),
    Due("mail", 3600, store.tidy),
    Due("backups", 300, backup_rounds.make_due),
    Due("backups-proven", 300, backup_rounds.prove_unproven),
    Due("backups-thinned", 3600, backup_rounds.thin_out),
    Due("backups-removed", 10, backup_rounds.remove),
    Due("backups-looked-for", 600, backup_rounds.look),
)


def run_due() -> None:
    for due in ROUNDS:
        if _begin(due):
            try:
                due.run()
            except Exception:
                logger.exception("The round %s failed; it is tried again in %g s", due.name, due.every)


def _begin(due: Due) -> bool:
    """Whether its time has come, and nobody else was faster."""
    _, first = Round.objects.get_or_create(name=due.name, defaults={"begun_at": Now()})
    if first:
        return True
    late = Round.objects.filter(name=due.name, begun_at__lte=Now() - timedelta(seconds=due.every))
    return bool(late.update(begun_at=Now()))
