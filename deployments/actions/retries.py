"""Asking again for what failed or was cancelled, by the rules of now."""

from collections.abc import Callable

from django.db import transaction

from deployments.actions import crons, environments, merges, pausing, projects
from deployments.actions.activities import check_may_change, create
from deployments.enums import Kind, State
from deployments.models import Activity
from environments.access import check
from portal.enums import EnvironmentType
from portal.errors import Conflict
from portal.models import User
from portal.permissions import Permission


def retry(activity: Activity, *, by: User, address: str = "") -> Activity:
    """Ask for the same once more. Raises Missing, Denied, or Conflict when that would not be the same any more."""
    check_may_change(activity, by)
    if activity.state not in (State.FAILED, State.CANCELLED):
        raise Conflict("Only a failed or cancelled activity can be tried again.")
    kind, environment = Kind(activity.kind), activity.environment
    if kind is Kind.PROJECT_CREATE:
        return projects.retry_create(activity.project, by=by, address=address)
    if environment is None:
        raise Conflict("Its environment is gone.")
    again: dict[Kind, Callable[..., Activity]] = {
        Kind.ACTIVATE: environments.activate,
        Kind.DEACTIVATE: environments.deactivate,
        Kind.REDEPLOY: environments.redeploy,
        Kind.DELETE: environments.delete,
        Kind.PAUSE: pausing.pause,
        Kind.RESUME: pausing.resume,
    }
    if kind in again:  # what was possible then may not be now
        with transaction.atomic():
            wished = _wished(activity)
            made = again[kind](environment, by=by, address=address, **wished)
            made.parameters, made.retry_of = activity.parameters | made.parameters, activity
            made.save(update_fields=["parameters", "retry_of"])
        return made
    if kind in (Kind.MERGE, Kind.SYNCHRONIZE):
        return _join_again(activity, by=by, address=address)
    if kind is Kind.CRON:
        told = activity.parameters
        return crons.run(environment, app=told["app"], cron=told["cron"], by=by, address=address, retry_of=activity)
    if kind is Kind.PUSH and environment.environment_type is not EnvironmentType.INTEGRATION:
        check(by, environment, Permission.OPERATE)  # as for the push itself
    if kind is Kind.PUSH and activity.parameters.get("commit") != environment.head_commit:
        raise Conflict(
            f"{environment.title} has moved on to {environment.head_commit[:7]} since. Redeploy it instead.",
        )
    return create(
        kind=kind,
        project=activity.project,
        environment=environment,
        by=by,
        parameters=activity.parameters,
        address=address,
        retry_of=activity,
    )


def _wished(activity: Activity) -> dict[str, bool]:
    """What was chosen beside the kind."""
    names = {Kind.ACTIVATE: "empty", Kind.DEACTIVATE: "backup"}
    name = names.get(Kind(activity.kind))
    return {name: bool(activity.parameters.get(name))} if name else {}


def _join_again(activity: Activity, *, by: User, address: str) -> Activity:
    told = activity.parameters
    child = activity.source if activity.kind == Kind.MERGE else activity.environment
    if child is None or activity.source is None:
        raise Conflict("The environment that it was to take the code of is gone.")
    if activity.kind == Kind.MERGE:
        made = merges.merge(child, by=by, how=told["how"], delete=bool(told.get("delete")), address=address)
    else:
        made = merges.synchronize(child, by=by, how=told["how"], address=address)
    Activity.objects.filter(pk=made.pk).update(retry_of=activity)
    return made
