"""Asking for changes of an environment: activate, redeploy, deactivate, branch, delete."""

from collections.abc import Mapping
from typing import Any, Protocol

from django.conf import settings
from django.db import transaction

from deployments import live
from deployments.actions import activities, backups, data, possible
from deployments.enums import Kind
from deployments.models import Activity
from environments import access, names, repositories
from environments.models import Environment, EnvironmentAccess
from portal import audit, titles
from portal.enums import EnvironmentRole, EnvironmentType
from portal.errors import Conflict
from portal.models import Project, User
from portal.permissions import Permission


def activate(environment: Environment, *, by: User | None, empty: bool = False, address: str = "") -> Activity:
    """Bring an inactive environment to life, with a copy of its parent's data unless that cannot be or `empty` is asked
    for. Raises Conflict when it is active, or when too many are.
    """
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=environment.project_id)
        if by is not None:
            access.check(by, environment, Permission.OPERATE)
        possible.check(Kind.ACTIVATE, environment)
        return activities.create(
            kind=Kind.ACTIVATE,
            project=project,
            environment=environment,
            by=by,
            parameters=activation(environment, empty=empty, by=by),
            address=address,
        )


def activation(environment: Environment, *, empty: bool, by: User | None) -> dict[str, Any]:
    """Parameters of an activation."""
    whose = data.origin(environment, empty=empty, by=by)
    return {"commit": environment.head_commit, "empty": empty, "data_from": whose}


def redeploy(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Deploy the branch's head once more. Raises Conflict when the environment is inactive."""
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        possible.check(Kind.REDEPLOY, environment)
        return activities.create(
            kind=Kind.REDEPLOY,
            project=environment.project,
            environment=environment,
            by=by,
            parameters={"commit": environment.head_commit},
            address=address,
        )


def deactivate(
    environment: Environment,
    *,
    by: User | None,
    address: str = "",
    backup: bool = False,
    removal: str = "",
) -> Activity:
    """Stop the environment and remove its data; the branch stays. Raises Conflict on Production or an inactive one.

    `backup`: back it up first; without that backup nothing is removed. `removal`: why Slipway itself does it.
    """
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        possible.check(Kind.DEACTIVATE, environment)
        told = {"removal": removal} if removal else {}
        if backup:
            told["backup"] = backups.create(environment, by=by, address=address, note="Before it was deactivated").pk
        return activities.create(
            kind=Kind.DEACTIVATE,
            project=environment.project,
            environment=environment,
            by=by,
            parameters=told,
            address=address,
        )


def branch(
    parent: Environment,
    *,
    name: str,
    title: str = "",
    by: User | None,
    activate: bool = False,
    empty: bool = False,
    address: str = "",
) -> Activity:
    """Make a branch from the parent's head, with its environment; `empty`: an activated one begins without data.

    Raises Invalid (field branch or title), Conflict.
    """
    if by is not None:
        access.check(by, parent, Permission.BRANCH)
    names.check_branch(name)
    title = titles.check(title or name, longest=names.MAX_BRANCH_BYTES)
    _check_free(parent.project, name)
    if repositories.head(settings.HOME.repository(parent.project_id), name) is not None:
        raise Conflict(f"The branch {name} exists already.", field="branch")
    return activities.create(
        kind=Kind.BRANCH,
        project=parent.project,
        environment=parent,
        by=by,
        parameters={
            "branch": name,
            "title": title,
            "commit": parent.head_commit,
            "activate": activate,
            "empty": empty,
        },
        address=address,
    )


def rename(environment: Environment, *, title: str, by: User, address: str = "") -> None:
    """Give it another title. Raises Missing or Denied by the role, Invalid (field title)."""
    access.check(by, environment, Permission.OPERATE)
    title = titles.check(title, longest=names.MAX_BRANCH_BYTES)
    if title == environment.title:
        return
    with transaction.atomic():
        Environment.objects.filter(pk=environment.pk).update(title=title)
        audit.record(
            "environment.rename",
            by=by,
            project=environment.project,
            target=title,
            address=address,
            before=environment.title,
        )
        transaction.on_commit(lambda: live.publish(f"project:{environment.project_id}", "environment"))
    environment.title = title


def reparent(environment: Environment, parent: Environment, *, by: User, address: str = "") -> None:
    """Hang it below another parent. Raises Missing or Denied by the role on either, Conflict when that cannot be.

    Nothing that runs changes: what it inherits does, and where it is merged to.
    """
    access.check(by, environment, Permission.OPERATE)
    access.check(by, parent, Permission.BRANCH)
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=environment.project_id)
        everyone = {each.pk: each for each in project.environments.all()}
        mine, wanted = everyone[environment.pk], everyone.get(parent.pk)
        reason = why_not_below(mine, wanted, everyone)
        if reason:
            raise Conflict(reason, field="parent")
        if wanted is None or mine.parent_id == wanted.pk:
            return
        before = everyone.get(mine.parent_id or 0)
        Environment.objects.filter(pk=mine.pk).update(parent=wanted, ahead=None, behind=None, drift_of="")
        audit.record(
            "environment.reparent",
            by=by,
            project=project,
            target=mine.title,
            address=address,
            before=before.title if before else "",
            after=wanted.title,
        )
        transaction.on_commit(lambda: live.publish(f"project:{project.pk}", "environment"))
    environment.refresh_from_db()


class InTree(Protocol):
    """What is asked of an environment about its place in the tree."""

    @property
    def pk(self) -> int: ...
    @property
    def parent_id(self) -> int | None: ...
    @property
    def title(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def environment_type(self) -> EnvironmentType: ...


def why_not_below(environment: InTree, parent: InTree | None, everyone: Mapping[int, InTree]) -> str:
    """Why it cannot hang below that parent; empty when it can. `everyone`: the project's environments by key."""
    if parent is None or parent.status == Environment.Status.DELETING:
        return "There is no such environment in this project, or it is being deleted."
    if environment.environment_type is EnvironmentType.PRODUCTION:
        return "Production is the top of the tree."
    if parent.environment_type not in _ABOVE[environment.environment_type]:
        wanted = " or ".join(type.label for type in _ABOVE[environment.environment_type])
        return f"{environment.environment_type.label} hangs below {wanted}, and {parent.title} is neither."
    above: InTree | None = parent
    while above is not None:
        if above.pk == environment.pk:
            return f"{parent.title} hangs below {environment.title} itself."
        above = everyone.get(above.parent_id or 0)
    return ""


_ABOVE = {
    EnvironmentType.STAGING: (EnvironmentType.PRODUCTION,),
    EnvironmentType.INTEGRATION: (EnvironmentType.STAGING, EnvironmentType.INTEGRATION),
}


def delete(environment: Environment, *, by: User | None, address: str = "", removal: str = "") -> Activity:
    """Remove an inactive environment and its branch, as it is now. Raises Conflict when that is not possible.

    `removal`: why Slipway itself does it.
    """
    if by is not None:
        access.check(by, environment, Permission.DELETE)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        possible.check(Kind.DELETE, environment)
        activity = activities.create(
            kind=Kind.DELETE,
            project=environment.project,
            environment=environment,
            by=by,
            parameters={
                "branch": environment.branch,
                "title": environment.title,
                "name": environment.name,
                "commit": environment.head_commit,
                **({"removal": removal} if removal else {}),
            },
            address=address,
        )
        Environment.objects.filter(pk=environment.pk).update(status=Environment.Status.DELETING)
    return activity


def make_row(
    project: Project,
    *,
    branch: str,
    type: EnvironmentType,
    parent: Environment | None,
    commit: str,
    by: User | None,
    title: str = "",
) -> Environment:
    """The environment of a branch, inactive when it is new; whoever makes one is its admin. Raises Conflict."""
    existing = project.environments.filter(branch=branch).first()
    if existing is not None:
        return existing
    _check_free(project, branch)
    name = names.environment_id(branch)
    with transaction.atomic():
        environment = Environment.objects.create(
            project=project,
            parent=parent,
            branch=branch,
            name=name,
            title=titles.check(title or branch, longest=names.MAX_BRANCH_BYTES),
            machine_name=names.machine_name(name, project.pk),
            type=type,
            head_commit=commit,
            created_by=by,
            sends_mail=_mail_of_child(parent),
        )
        if by is not None:
            EnvironmentAccess.objects.get_or_create(
                environment=environment, user=by, defaults={"role": EnvironmentRole.ADMIN}
            )
        transaction.on_commit(lambda: live.publish(f"project:{project.pk}", "environment"))
    return environment


def _mail_of_child(parent: Environment | None) -> bool | None:
    """A child sends mail as its parent was set to, but Production's customers hear nothing of its copies."""
    if parent is None or parent.environment_type is EnvironmentType.PRODUCTION:
        return None
    return parent.sends_mail


def _check_free(project: Project, branch: str) -> None:
    taken = project.environments.filter(name=names.environment_id(branch)).first()
    if taken is not None:
        raise Conflict(f"The environment {taken.title} has that name already.", field="branch")
