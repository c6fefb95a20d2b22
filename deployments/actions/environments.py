"""Asking for changes of an environment: activate, redeploy, deactivate, branch, delete."""

from django.conf import settings
from django.db import transaction

from deployments import live
from deployments.actions import activities, possible
from deployments.enums import Kind
from deployments.models import Activity
from environments import access, names, repositories
from environments.models import Environment, EnvironmentAccess
from portal import audit, titles
from portal.enums import EnvironmentRole, EnvironmentType
from portal.errors import Conflict
from portal.models import Project, User
from portal.permissions import Permission


def activate(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Bring an inactive environment to life. Raises Conflict when it is active, or when too many are."""
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
            parameters={"commit": environment.head_commit},
            address=address,
        )


def redeploy(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Deploy the branch's head once more. Raises Conflict when the environment is inactive."""
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    possible.check(Kind.REDEPLOY, environment)
    return activities.create(
        kind=Kind.REDEPLOY,
        project=environment.project,
        environment=environment,
        by=by,
        parameters={"commit": environment.head_commit},
        address=address,
    )


def deactivate(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Stop the environment and remove its data; the branch stays. Raises Conflict on Production or an inactive one."""
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    possible.check(Kind.DEACTIVATE, environment)
    return activities.create(
        kind=Kind.DEACTIVATE, project=environment.project, environment=environment, by=by, address=address
    )


def branch(
    parent: Environment, *, name: str, title: str = "", by: User | None, activate: bool = False, address: str = ""
) -> Activity:
    """Make a branch from the parent's head, with its environment. Raises Invalid (field branch or title), Conflict."""
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
        parameters={"branch": name, "title": title, "commit": parent.head_commit, "activate": activate},
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


def delete(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Remove an inactive environment and its branch. Raises Conflict when that is not possible now."""
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
            parameters={"branch": environment.branch, "title": environment.title, "name": environment.name},
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
        )
        if by is not None:
            EnvironmentAccess.objects.get_or_create(
                environment=environment, user=by, defaults={"role": EnvironmentRole.ADMIN}
            )
        transaction.on_commit(lambda: live.publish(f"project:{project.pk}", "environment"))
    return environment


def _check_free(project: Project, branch: str) -> None:
    taken = project.environments.filter(name=names.environment_id(branch)).first()
    if taken is not None:
        raise Conflict(f"The environment {taken.title} has that name already.", field="branch")
