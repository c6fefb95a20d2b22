"""Who may do what on an environment: the rights matrix with the role on the single environment counted in."""

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from environments.models import Environment, EnvironmentAccess
from portal import access
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.errors import Denied, Missing
from portal.models import Membership, Project, TypeRole, User
from portal.permissions import MATRIX, Permission

_WHO = {
    Permission.SEE: "viewer",
    Permission.PUSH: "contributor",
    Permission.BRANCH: "contributor",
    Permission.REQUEST_PROMOTION: "contributor",
    Permission.SHELL: "contributor (admin on Production)",
    Permission.OPERATE: "admin",
    Permission.FORCE_PUSH: "admin",
    Permission.RESTORE: "admin (a project admin on Production)",
    Permission.DELETE: "admin (a project admin on Production)",
}

# What opens a shell, by the role that the app's file asks for.
_SHELL_BY_ROLE = {"viewer": Permission.SEE, "contributor": Permission.SHELL, "admin": Permission.OPERATE}


def permissions(user: User, environment: Environment) -> frozenset[Permission]:
    """Everything the person may do on the environment; raises Missing for a stranger to the project."""
    member = access.membership(user, environment.project)
    single = EnvironmentAccess.objects.filter(environment=environment, user=user).first()
    return access.permissions_on(member, environment.environment_type, EnvironmentRole(single.role) if single else None)


def visible(user: User, project: Project) -> dict[int, frozenset[Permission]]:
    """Permissions by environment primary key, for every environment of the project that the person may see."""
    member = access.membership(user, project)
    single = dict(
        EnvironmentAccess.objects.filter(environment__project=project, user=user).values_list("environment_id", "role")
    )
    rights = {
        environment.pk: access.permissions_on(
            member,
            environment.environment_type,
            EnvironmentRole(single[environment.pk]) if environment.pk in single else None,
        )
        for environment in Environment.objects.filter(project=project)
    }
    return {pk: allowed for pk, allowed in rights.items() if Permission.SEE in allowed}


def seen(user: User) -> QuerySet[Environment]:
    """Every environment, over all projects, that the person may see."""
    roles = [role for role in EnvironmentRole if Permission.SEE in MATRIX[role][EnvironmentType.INTEGRATION]]
    mine = Membership.objects.filter(user=user, user__is_active=True)
    return (
        Environment.objects.annotate(role=role_of(user))
        .filter(project__in=mine.values("project"))
        .filter(Q(project__in=mine.exclude(role=ProjectRole.MEMBER).values("project")) | Q(role__in=roles))
    )


def role_of(user: User) -> Coalesce:
    """To annotate environments with: the person's role there, by the single environment or else by its type."""
    single = EnvironmentAccess.objects.filter(environment=OuterRef("pk"), user=user)
    by_type = TypeRole.objects.filter(
        membership__user=user, membership__project=OuterRef("project"), type=OuterRef("type")
    )
    return Coalesce(Subquery(single.values("role")[:1]), Subquery(by_type.values("role")[:1]))


def check(user: User, environment: Environment, permission: Permission) -> None:
    """Raises Missing when the person may not even see the environment, Denied when the role is too small."""
    allowed = permissions(user, environment)
    if Permission.SEE not in allowed:
        raise Missing("There is no such environment, or you have no access to it.")
    if permission not in allowed:
        raise Denied(denial(environment, permission))


def denial(environment: Environment, permission: Permission) -> str:
    """Why someone may not, and who could."""
    return (
        f"This needs the role {_WHO[permission]} on {environment.title}. Ask an admin of {environment.project.title}."
    )


def check_shell(user: User, environment: Environment, threshold: str) -> None:
    """`threshold` is the app's or worker's `access: ssh:`, a role. On Production it counts for nothing. Raises as
    `check` does."""
    needed = shell_right(environment, threshold)
    allowed = permissions(user, environment)
    if Permission.SEE not in allowed:
        raise Missing("There is no such environment, or you have no access to it.")
    if needed not in allowed:
        raise Denied(shell_denial(environment, threshold))


def can_shell(user: User, environment: Environment, threshold: str) -> bool:
    try:
        check_shell(user, environment, threshold)
    except (Denied, Missing):
        return False
    return True


def shell_right(environment: Environment, threshold: str) -> Permission:
    """The right that opens a shell there; a threshold that is no role asks for the strictest."""
    if environment.environment_type is EnvironmentType.PRODUCTION:
        return Permission.OPERATE
    return _SHELL_BY_ROLE.get(threshold, Permission.OPERATE)


def shell_denial(environment: Environment, threshold: str) -> str:
    right = shell_right(environment, threshold)
    role = next((role for role, found in _SHELL_BY_ROLE.items() if found is right), "admin")
    return f"SSH needs the role {role} on {environment.title}. Ask an admin of {environment.project.title}."


def can(user: User, environment: Environment, permission: Permission) -> bool:
    try:
        check(user, environment, permission)
    except (Denied, Missing):
        return False
    return True


def find(user: User, project_id: str, name: str) -> Environment:
    """The environment, for someone who may see it; else Missing."""
    project = access.find_project(user, project_id)
    environment = Environment.objects.select_related("project", "parent").filter(project=project, name=name).first()
    if environment is None:
        raise Missing("There is no such environment, or you have no access to it.")
    check(user, environment, Permission.SEE)
    return environment
