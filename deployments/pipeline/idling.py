"""Each minute: environments that nobody has used for as long as their project says are asked to be paused."""

import contextlib

from django.utils import timezone

from deployments import idle
from deployments.actions import pausing
from deployments.models import Health
from deployments.pipeline import specs, watching
from environments import runtimes
from environments.models import Environment
from environments.runtimes.base import Runtime
from environments.runtimes.gauges import Position
from portal.enums import EnvironmentType
from portal.errors import Conflict


def pause_idle() -> None:
    awake = Environment.objects.active().filter(paused_at__isnull=True, project__pause_after__gt=0)
    for environment in awake.exclude(type=EnvironmentType.PRODUCTION).select_related("project").order_by("pk"):
        if is_due(environment, runtimes.get()):
            with contextlib.suppress(Conflict):  # something was asked of it meanwhile
                pausing.pause(environment, by=None, because="idle")


def is_due(environment: Environment, runtime: Runtime) -> bool:
    """Whether it is to be paused now. A cron that runs is let run; workers alone keep nothing awake."""
    at = idle.sleeps_at(environment, Health.objects.filter(environment=environment).first())
    if at is None or at > timezone.now():
        return False
    return not any(run.ended is None for run in runtime.crons.runs(specs.place_of(environment)))


def is_still_due(environment: Environment, runtime: Runtime) -> bool:
    """The same, with what visitors have asked for up to now."""
    row = Health.objects.filter(environment=environment).first()
    if row is not None and row.sampled_at is not None:
        since = Position(row.log_file, row.log_offset)
        # Only looked at: the next sample counts these requests.
        watching.read(row, runtime.gauges.requests(specs.place_of(environment), since))
        Health.objects.filter(pk=row.pk).update(requested_at=row.requested_at)
    return is_due(environment, runtime)
