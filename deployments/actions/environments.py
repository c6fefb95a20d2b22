"""Asking for changes of an environment: activate, redeploy, deactivate, branch, delete."""

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from deployments import live
from deployments.actions import activities
from deployments.enums import Kind
from deployments.models import Activity, Release
from environments import access, names, repositories
from environments.models import Environment, EnvironmentAccess
from portal import titles
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
        environment.refresh_from_db()
        if environment.is_active:
            raise Conflict(f"{environment.title} is active already.")
        if Activity.objects.open().filter(environment=environment, kind=Kind.ACTIVATE).exists():
            raise Conflict(f"{environment.title} is being activated already.")
        check_room(project, environment)
        return activities.create(
            kind=Kind.ACTIVATE,
            project=project,
            environment=environment,
            by=by,
            parameters={"commit": environment.head_commit},
            address=address,
        )


def check_room(project: Project, environment: Environment) -> None:
    """Raises Conflict when the project has as many active Integration environments as it may have."""
    if environment.environment_type is not EnvironmentType.INTEGRATION:
        return
    coming = Activity.objects.open().filter(project=project, kind=Kind.ACTIVATE).values("environment")
    integration = project.environments.filter(type=EnvironmentType.INTEGRATION).exclude(pk=environment.pk)
    active = integration.active() | integration.filter(pk__in=coming)
    taken = list(active.distinct().order_by("deployed_at", "id"))
    if len(taken) < project.max_active_integration:
        return
    listed = ", ".join(f"{each.title} ({_last_used(each)})" for each in taken)
    raise Conflict(
        f"{project.title} has {len(taken)} active Integration environments, which is its limit. "
        f"Deactivate one first: {listed}."
    )


def redeploy(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Deploy the branch's head once more. Raises Conflict when the environment is inactive."""
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    _check_active(environment)
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
    if environment.environment_type is EnvironmentType.PRODUCTION:
        raise Conflict("Production cannot be deactivated.")
    _check_active(environment)
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


def delete(environment: Environment, *, by: User | None, address: str = "") -> Activity:
    """Remove an inactive environment and its branch. Raises Conflict when that is not possible now."""
    if by is not None:
        access.check(by, environment, Permission.DELETE)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        environment.refresh_from_db()
        if environment.is_active:
            raise Conflict(f"{environment.title} is active. Deactivate it first.")
        if environment.branch == environment.project.default_branch or environment.environment_type in (
            EnvironmentType.PRODUCTION,
            EnvironmentType.STAGING,
        ):
            raise Conflict(f"{environment.title} is part of every project and cannot be deleted.")
        children = environment.children.order_by("title").values_list("title", flat=True)
        if children:
            raise Conflict(f"{environment.title} has children: {', '.join(children)}. Delete them first.")
        if Activity.objects.open().filter(environment=environment).exists():
            raise Conflict(f"{environment.title} has an activity that has not ended. Wait for it or cancel it.")
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


def _check_active(environment: Environment) -> None:
    environment.refresh_from_db()
    if not environment.is_active:
        raise Conflict(f"{environment.title} is inactive: it has nothing to do this with. Activate it first.")


def _check_free(project: Project, branch: str) -> None:
    taken = project.environments.filter(name=names.environment_id(branch)).first()
    if taken is not None:
        raise Conflict(f"The environment {taken.title} has that name already.", field="branch")


def _last_used(environment: Environment) -> str:
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    if release is None or release.live_at is None:
        return "being activated"
    return f"last deployed {timezone.localtime(release.live_at):%-d %B, %H:%M}"
