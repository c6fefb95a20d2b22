"""Who may see an activity, and who may take it back or ask for it again.

An activity is seen by whoever sees its environment. Where the environment is gone (or does not exist yet) the whole
project sees the project's own creation, and only its admins and whoever asked see the rest.
"""

from collections.abc import Iterable

from django.db.models import Q

from deployments.enums import Kind
from deployments.models import Activity
from deployments.models.activity import ActivityQuerySet
from environments import access
from portal.access import can_project, find_project
from portal.enums import ProjectRole
from portal.errors import Missing
from portal.models import Membership, User
from portal.permissions import Permission


def seen_by(member: Membership, environments: Iterable[int]) -> ActivityQuerySet:
    """The project's activities that the member may see; `environments` are the ones that the member sees."""
    activities = Activity.objects.filter(project=member.project_id)
    if member.role != ProjectRole.MEMBER:
        return activities
    gone = Q(environment=None) & (Q(kind=Kind.PROJECT_CREATE) | Q(actor=member.user_id))
    return activities.filter(Q(environment__in=list(environments)) | gone)


def find_activity(user: User, project_id: str, activity_id: str) -> Activity:
    """Raises Missing when there is none, or none that the person may see."""
    project = find_project(user, project_id)
    found = Activity.objects.select_related("project", "environment__project", "actor", "cancelled_by")
    activity = found.filter(project=project, pk=activity_id).first()
    missing = Missing("There is no such activity, or you have no access to it.")
    if activity is None:
        raise missing
    if activity.environment is not None:
        access.check(user, activity.environment, Permission.SEE)
    elif not (
        activity.kind == Kind.PROJECT_CREATE
        or activity.actor_id == user.pk
        or can_project(user, project, Permission.MANAGE_PROJECT)
    ):
        raise missing
    return activity
