"""Asking for code to go up (merge: child -> parent) or to come down (synchronize: parent -> child).

Either is an activity of the environment whose branch moves, so it waits its turn there. The other one lends a commit
that it had when it was asked: whatever happens to it meanwhile, that commit is in the repository.
"""

from django.db import transaction

from deployments.actions import activities, possible
from deployments.enums import Kind
from deployments.models import Activity
from environments import access
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.errors import Conflict, Invalid
from portal.models import Project, User
from portal.permissions import Permission

# How the commits are joined. Where nothing but a new pointer is needed, "usual" makes no commit.
USUAL, COMMIT, REBASE = "usual", "commit", "rebase"


def needed_on_parent(parent: Environment) -> Permission:
    """As for a push: into Staging and Production only admins may merge, until promotions lead there."""
    return Permission.PUSH if parent.environment_type is EnvironmentType.INTEGRATION else Permission.OPERATE


def check_may_merge(by: User, child: Environment, parent: Environment) -> None:
    """Raises Missing or Denied by the role on either."""
    access.check(by, child, Permission.OPERATE)
    access.check(by, parent, needed_on_parent(parent))


def merge(
    child: Environment,
    *,
    by: User,
    how: str = USUAL,
    seen: str = "",
    delete: bool = False,
    address: str = "",
) -> Activity:
    """Bring the child's commits into its parent. Raises Missing, Denied, Invalid (field how), Conflict.

    `seen`: the child's commit that the person looked at; when it has moved on since, they look again. `delete`: the
    child is removed afterwards, see actions.removals.
    """
    if how not in (USUAL, COMMIT):
        raise Invalid("Choose how the commits are joined.", field="how")
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=child.project_id)
        child = _again(child)
        if child.parent is not None:
            check_may_merge(by, child, child.parent)
        possible.check(Kind.MERGE, child)
        assert child.parent is not None  # else it is not possible
        _check_seen(child, seen)
        return activities.create(
            kind=Kind.MERGE,
            project=project,
            environment=child.parent,
            source=child,
            by=by,
            parameters=_told(child, how) | {"delete": delete},
            address=address,
        )


def synchronize(
    child: Environment, *, by: User | None, how: str = USUAL, seen: str = "", address: str = ""
) -> Activity:
    """Bring the commits of its parent into the child. Raises Missing, Denied, Invalid (field how), Conflict.

    `seen`: the parent's commit that the person looked at.
    """
    if how not in (USUAL, COMMIT, REBASE):
        raise Invalid("Choose how the commits are joined.", field="how")
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=child.project_id)
        child = _again(child)
        if by is not None:
            access.check(by, child, Permission.OPERATE)
            if child.parent is not None:
                access.check(by, child.parent, Permission.SEE)
        possible.check(Kind.SYNCHRONIZE, child)
        assert child.parent is not None
        _check_seen(child.parent, seen)
        return activities.create(
            kind=Kind.SYNCHRONIZE,
            project=project,
            environment=child,
            source=child.parent,
            by=by,
            parameters=_told(child.parent, how),
            address=address,
        )


def _again(environment: Environment) -> Environment:
    return Environment.objects.select_related("project", "parent__project").get(pk=environment.pk)


def _check_seen(source: Environment, seen: str) -> None:
    if seen and seen != source.head_commit:
        raise Conflict(
            f"{source.title} has moved on to {source.head_commit[:7]} since you looked. "
            "Here is what it brings now; ask again if that is right."
        )


def _told(source: Environment, how: str) -> dict[str, str]:
    return {"commit": source.head_commit, "branch": source.branch, "title": source.title, "how": how}
