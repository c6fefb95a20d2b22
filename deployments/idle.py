"""Since when nobody has used an environment, and when it is paused for that."""

from datetime import datetime, timedelta

from deployments.enums import Kind
from deployments.models import Activity, Health, SSHSession
from environments.models import Environment

# What Slipway does by itself, by the clock, is no use of an environment.
_BY_THE_CLOCK = (Kind.CRON, Kind.BACKUP)


def last_use(environment: Environment) -> datetime | None:
    """The last visit or the end of the last activity; None: somebody is at work in it, or in a shell."""
    asked = Activity.objects.filter(environment=environment).exclude(kind__in=_BY_THE_CLOCK)
    if asked.open().exclude(kind=Kind.PAUSE).exists() or SSHSession.objects.filter(environment=environment).exists():
        return None
    ended = asked.filter(finished_at__isnull=False).order_by("-finished_at").values_list("finished_at", flat=True)
    visit = Health.objects.filter(environment=environment).values_list("requested_at", flat=True)
    times = (environment.created_at, environment.deployed_at, environment.visited_at, ended.first(), visit.first())
    return max(at for at in times if at is not None)


def sleeps_at(environment: Environment) -> datetime | None:
    """When it is paused unless somebody comes; None when it is not going to be."""
    hours = environment.project.pause_after
    if not hours or not environment.is_active or environment.is_paused or not environment.may_sleep:
        return None
    used = last_use(environment)
    return used + timedelta(hours=hours) if used is not None else None
