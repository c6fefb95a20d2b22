"""Data of another environment, copied when one is activated. Both ends are locked: the one that is activated by its
activity, the other for as long as the copy takes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Q

from deployments import dispatch, live, state
from deployments.enums import State
from deployments.models import Activity
from deployments.pipeline import specs
from deployments.pipeline.context import YELLOW, Context
from deployments.pipeline.deployment import Deployment
from deployments.pipeline.failures import Failure
from environments.backing import files
from environments.manifest.support import placement
from environments.models import Environment, Service
from environments.runtimes.base import ServiceSpec, Snapshot
from portal.enums import EnvironmentType

_LOOK = 0.5  # seconds


def source_of(activity: Activity) -> Environment | None:
    """Where the data of what is activated comes from; None: it begins empty. Raises Failure when it cannot be had."""
    asked = activity.parameters.get("data_from")
    if asked is None:
        return None
    found = activity.project.environments.filter(pk=asked).first()
    if found is None:
        raise Failure("data-source-gone", "The environment whose data was to be copied is gone. Begin with empty data.")
    return found


def why_not(source: Environment) -> str:
    """Why its data cannot be copied into another environment; empty when it can."""
    if source.environment_type is EnvironmentType.PRODUCTION:
        return f"Nothing unmasked leaves Production, so the data of {source.title} cannot be copied."
    if not source.is_active:
        return f"{source.title} is inactive and has no data to copy. Begin with empty data, or activate it first."
    return ""


def copy(context: Context, deployment: Deployment, source: Environment) -> str | None:
    place = specs.place_of(context.environment)
    context.heading(f"Copying data of {source.title}")
    with held(context, source):
        source.refresh_from_db()
        reason = why_not(source)
        if reason:
            raise Failure("data-source", reason)
        services = list(_fitting(context, deployment, source))
        snapshot = context.runtime.snapshot(
            specs.place_of(source), services, context.runtime.incoming(place), context.watch()
        )
    with state.fenced(context.activity):
        told = {"data_source": f"Copy of {source.title}"[:200], "data_at": snapshot.at}
        Environment.objects.filter(pk=context.environment.pk).update(**told)
    count, size = files.measure(context.runtime.incoming(place))
    context.say(f"{count} files, {size / 1024**2:.1f} MB; {stood_still(source, snapshot)}")
    return None


def stood_still(source: Environment, snapshot: Snapshot) -> str:
    return f"{source.title} stood still for {snapshot.held:.2f} s"


@contextmanager
def held(context: Context, source: Environment) -> Iterator[None]:
    """Nothing that is asked of `source` begins while the body runs; what runs there is waited for first."""
    _hold(context, source)
    try:
        working = Activity.objects.filter(Q(environment=source), state=State.RUNNING).select_related("environment")
        told = False
        while (other := working.first()) is not None:
            if not told:
                context.say(f"Waiting for {source.title}: {other} is at work there", YELLOW)
                told = True
            context.check()
            time.sleep(_LOOK)
        yield
    finally:
        _hold(context, None)
        waiting = Activity.objects.filter(environment=source, state=State.PENDING).order_by("sequence")
        following = waiting.values_list("pk", flat=True).first()
        if following:
            dispatch.nudge(following)


def _hold(context: Context, source: Environment | None) -> None:
    with state.fenced(context.activity):
        Activity.objects.filter(pk=context.activity.pk).update(holds=source)
    live.publish(f"project:{context.project.pk}", "activity")


def _fitting(context: Context, deployment: Deployment, source: Environment) -> Iterator[ServiceSpec]:
    """Services of the source that the target will have by the same name and engine; the others begin empty."""
    rows = {row.name: row for row in Service.objects.select_related("environment").filter(environment=source)}
    for asked in deployment.manifest.services.values():
        row, place = rows.get(asked.name), placement(asked, context.runtime.engines())
        if row is None:
            context.say(f"{asked.name} begins empty: {source.title} has no service of that name")
        elif place is not None and place != (row.engine, row.version):
            mine, theirs = f"{place[0]} {place[1]}", f"{row.engine} {row.version}"
            context.say(f"{asked.name} begins empty: it is {mine} here and {theirs} in {source.title}")
        else:
            yield specs.service_spec(row)
