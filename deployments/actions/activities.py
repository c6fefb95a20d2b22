"""Asking for an activity and taking it back."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max

from deployments import dispatch, live, state
from deployments.enums import Kind
from deployments.models import Activity
from environments.access import can, check
from environments.models import Environment
from portal import audit
from portal.access import check_project
from portal.errors import Conflict
from portal.models import Project, User
from portal.permissions import Permission

# What asking needs on the environment. A push was checked ref by ref before Git moved the refs, and an accepted push
# must have its activity whatever changed since; a project's creation has no environment yet.
NEEDED: dict[Kind, Permission] = {
    Kind.ACTIVATE: Permission.OPERATE,
    Kind.DEACTIVATE: Permission.OPERATE,
    Kind.REDEPLOY: Permission.OPERATE,
    Kind.BRANCH: Permission.BRANCH,
    Kind.DELETE: Permission.DELETE,
    Kind.MERGE: Permission.OPERATE,  # on the child; what it needs on the parent says actions.merges
    Kind.SYNCHRONIZE: Permission.OPERATE,
    Kind.PAUSE: Permission.OPERATE,
    Kind.RESUME: Permission.SEE,  # visiting it does the same
    Kind.BACKUP: Permission.OPERATE,
    Kind.RESTORE: Permission.RESTORE,
    Kind.CRON: Permission.SHELL,  # whoever may run its commands there by hand
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
    source: Environment | None = None,
    actor_name: str = "",
) -> Activity:
    """Write the activity with its audit event, and nudge a worker once both are committed.

    `by` None: Slipway itself asks, or whom `actor_name` names. Raises Missing or Denied by the role, Conflict while
    the environment is deleted.
    """
    asked_of = source if kind is Kind.MERGE else environment
    if by is not None and asked_of is not None and kind in NEEDED:
        check(by, asked_of, NEEDED[kind])
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
            actor_name=actor_name or (str(by) if by else "Slipway"),
            sequence=last + 1,
            retry_of=retry_of,
            source=source,
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
    check_may_change(activity, by)
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


def check_may_change(activity: Activity, by: User) -> None:
    """Whoever may operate the environment, and who asked while they may still push. Raises Missing or Denied."""
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
