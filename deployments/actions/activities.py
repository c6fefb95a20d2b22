"""Asking for an activity, taking it back, asking again."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max

from deployments import dispatch, live, state
from deployments.enums import Kind, State
from deployments.models import Activity
from environments.access import can, check
from environments.models import Environment
from portal import audit
from portal.access import check_project
from portal.enums import EnvironmentType
from portal.errors import Conflict
from portal.models import Project, User
from portal.permissions import Permission

# What asking needs on the environment. A push was checked ref by ref before Git moved the refs, and an accepted push
# must have its activity whatever changed since; a project's creation has no environment yet.
_NEEDED: dict[Kind, Permission] = {
    Kind.ACTIVATE: Permission.OPERATE,
    Kind.DEACTIVATE: Permission.OPERATE,
    Kind.REDEPLOY: Permission.OPERATE,
    Kind.BRANCH: Permission.BRANCH,
    Kind.DELETE: Permission.DELETE,
}


def create(
    *,
    kind: Kind,
    project: Project,
    environment: Environment | None,
    by: User | None,
    parameters: Mapping[str, Any] | None = None,
    address: str = "",
    retry_of: Activity | None = None,
) -> Activity:
    """Write the activity with its audit event, and nudge a worker once both are committed.

    `by` None: Slipway itself asks. Raises Missing or Denied by the role, Conflict while the environment is deleted.
    """
    if by is not None and environment is not None and kind in _NEEDED:
        check(by, environment, _NEEDED[kind])
    with transaction.atomic():
        # Locked, so that numbers are committed in the order in which they were given.
        Project.objects.select_for_update().get(pk=project.pk)
        if environment is not None:
            _check_not_deleting(environment)
        last = Activity.objects.filter(project=project).aggregate(last=Max("sequence"))["last"] or 0
        activity = Activity.objects.create(
            project=project,
            environment=environment,
            kind=kind,
            parameters=dict(parameters or {}),
            actor=by,
            actor_name=str(by) if by else "Slipway",
            sequence=last + 1,
            retry_of=retry_of,
        )
        audit.record(
            kind.value,
            by=by,
            project=project,
            target=environment.title if environment else project.title,
            address=address,
            activity=activity.pk,
        )
        dispatch.nudge_on_commit(activity.pk)
        _publish_on_commit(activity)
    return activity


def cancel(activity: Activity, *, by: User, address: str = "") -> None:
    """One that waits is cancelled at once; one that began is asked to stop. Raises Missing, Denied, Conflict."""
    _check_may_change(activity, by)
    with transaction.atomic():
        withdrawn = state.withdraw(activity.pk, by=by, outcome=f"Cancelled by {by} before it began.")
        if withdrawn:
            _take_back(activity)
        elif not state.request_cancel(activity.pk, by=by):
            raise Conflict("It has ended already; there is nothing to cancel.")
        audit.record("activity.cancel", by=by, project=activity.project, target=str(activity), address=address)
        _publish_on_commit(activity)
        transaction.on_commit(lambda: dispatch.nudge_next(activity))
    activity.refresh_from_db()


def retry(activity: Activity, *, by: User, address: str = "") -> Activity:
    """Ask for the same once more. Raises Missing, Denied, or Conflict when that would not be the same any more."""
    _check_may_change(activity, by)
    if activity.state not in (State.FAILED, State.CANCELLED):
        raise Conflict("Only a failed or cancelled activity can be tried again.")
    # These ask for activities themselves, so they import this module.
    from deployments.actions import environments, projects

    kind, environment = Kind(activity.kind), activity.environment
    if kind is Kind.PROJECT_CREATE:
        return projects.retry_create(activity.project, by=by, address=address)
    if environment is None:
        raise Conflict("Its environment is gone.")
    again = {
        Kind.ACTIVATE: environments.activate,
        Kind.DEACTIVATE: environments.deactivate,
        Kind.REDEPLOY: environments.redeploy,
        Kind.DELETE: environments.delete,
    }
    if kind in again:  # what was possible then may not be now
        with transaction.atomic():
            made = again[kind](environment, by=by, address=address)
            made.parameters, made.retry_of = activity.parameters | made.parameters, activity
            made.save(update_fields=["parameters", "retry_of"])
        return made
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


def _check_may_change(activity: Activity, by: User) -> None:
    environment = activity.environment
    if environment is None:
        check_project(by, activity.project, Permission.MANAGE_PROJECT)
    elif not (activity.actor_id == by.pk and can(by, environment, Permission.PUSH)):
        check(by, environment, Permission.OPERATE)


def _take_back(activity: Activity) -> None:
    """What asking for it changed already."""
    if activity.kind == Kind.PROJECT_CREATE:
        Project.objects.filter(pk=activity.project_id).update(state=Project.State.FAILED)
    elif activity.kind == Kind.DELETE:
        Environment.objects.filter(activities=activity).update(status=Environment.Status.INACTIVE)


def _check_not_deleting(environment: Environment) -> None:
    environment.refresh_from_db(fields=["status"])
    if environment.status == Environment.Status.DELETING:
        raise Conflict(f"{environment.title} is being deleted.")


def _publish_on_commit(activity: Activity) -> None:
    def tell() -> None:
        live.publish(f"activity:{activity.pk}", "state")
        live.publish(f"project:{activity.project_id}", "activity")

    transaction.on_commit(tell)
