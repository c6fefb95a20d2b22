"""Who may do what on a project. With environments/access.py the only reader of the rights matrix.

For each right: `check_x` raises Denied with the reason, `can_x` asks it. Someone who has no role in a project gets
Missing for everything in it, so that its existence stays unknown.
"""

from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.errors import Denied, Missing
from portal.models import Membership, Project, User
from portal.permissions import ENVIRONMENT_PERMISSIONS, MATRIX, PROJECT_MATRIX, Permission


def membership(user: User, project: Project) -> Membership:
    """The person's membership with its type roles loaded. Raises Missing for a stranger or a suspended account."""
    found = Membership.objects.prefetch_related("type_roles").filter(user=user, project=project).first()
    if found is None or not user.is_active:
        raise Missing("There is no such project, or you have no access to it.")
    return found


def find_project(user: User, project_id: str) -> Project:
    """The project, for someone who has any role in it; else Missing."""
    project = Project.objects.visible_to(user).filter(pk=project_id).first() if user.is_active else None
    if project is None:
        raise Missing("There is no such project, or you have no access to it.")
    return project


def permissions_on(
    member: Membership, type: EnvironmentType, single: EnvironmentRole | None = None
) -> frozenset[Permission]:
    """Everything a member may do on an environment of this type; `single` is the role on that very one, if any."""
    role = single
    if role is None and member.role == ProjectRole.MEMBER:
        roles = {entry.type: EnvironmentRole(entry.role) for entry in member.type_roles.all()}
        role = roles.get(type)
    return permissions_as(member, type, role or EnvironmentRole.NONE)


def permissions_as(member: Membership, type: EnvironmentType, role: EnvironmentRole) -> frozenset[Permission]:
    """Everything a member who has this role on an environment of this type may do on it."""
    project_rights = PROJECT_MATRIX[ProjectRole(member.role)]
    if member.role != ProjectRole.MEMBER:
        return project_rights | ENVIRONMENT_PERMISSIONS
    return project_rights | MATRIX[role][type]


def check_project(user: User, project: Project, permission: Permission) -> None:
    """Raises Missing for a stranger, Denied for a role that is too small."""
    if permission not in PROJECT_MATRIX[ProjectRole(membership(user, project).role)]:
        needed = next(role for role in (ProjectRole.ADMIN, ProjectRole.OWNER) if permission in PROJECT_MATRIX[role])
        raise Denied(f"This needs the project role {needed}. Ask an owner of {project.title}.")


def can_project(user: User, project: Project, permission: Permission) -> bool:
    try:
        check_project(user, project, permission)
    except (Denied, Missing):
        return False
    return True
