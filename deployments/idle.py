"""Since when nobody has used an environment, and when it is paused for that."""

from datetime import datetime, timedelta

from django.db.models import Count, Exists, Max, Q

from deployments.enums import Kind, State
from deployments.models import Activity, Health, SSHSession
from environments.models import Environment

# What Slipway does by itself, by the clock, is no use of an environment.
_BY_THE_CLOCK = (Kind.CRON, Kind.BACKUP)


def last_use(environment: Environment, health: Health | None) -> datetime | None:
    """The last visit or the end of the last activity; None: somebody is at work in it, or in a shell."""
    open_ones = Q(state__in=[State.PENDING, State.RUNNING]) & ~Q(kind=Kind.PAUSE)
    asked = Activity.objects.filter(environment=environment).exclude(kind__in=_BY_THE_CLOCK)
    shells = SSHSession.objects.filter(environment=environment)
    told = asked.aggregate(
        number=Count("pk"),
        open=Count("pk", filter=open_ones),
        ended=Max("finished_at"),
        inside=Count("pk", filter=Exists(shells)),  # all of them or none: so that there is one question to ask
    )
    if told["open"] or told["inside"] or (not told["number"] and shells.exists()):
        return None
    visit = health.requested_at if health is not None else None
    times = (environment.created_at, environment.deployed_at, environment.visited_at, told["ended"], visit)
    return max(at for at in times if at is not None)


def sleeps_at(environment: Environment, health: Health | None) -> datetime | None:
    """When it is paused unless somebody comes; None when it is not going to be. `health` is the environment's."""
    hours = environment.project.pause_after
    if not hours or not environment.is_active or environment.is_paused or not environment.may_sleep:
        return None
    used = last_use(environment, health)
    return used + timedelta(hours=hours) if used is not None else None
