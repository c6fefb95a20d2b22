from collections.abc import Mapping

from django.contrib.auth.password_validation import validate_password
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from portal import access, audit, titles
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.errors import Conflict, Invalid
from portal.models import Membership, Project, TypeRole, User
from portal.permissions import Permission


def create_first_owner(*, name: str, email: str, password: str, address: str = "") -> User:
    """The first account of a new portal, a superuser. Raises Conflict when there is any account."""
    user = User(name=name.strip(), email=email.strip().lower(), is_superuser=True, is_staff=True)
    _check(user, password)
    with transaction.atomic():
        # Two visitors of the first-run page at once: the second waits here, on a row that every portal has.
        ContentType.objects.select_for_update().get(app_label="portal", model="user")
        if User.objects.exists():
            raise Conflict("This portal has its first owner already. Sign in, or ask them for an account.")
        user.set_password(password)
        user.save()
        audit.record("account.create_first", by=user, target=user.email, address=address)
    return user


def rename(*, by: User, name: str, address: str = "") -> None:
    """Change the person's own name. Raises Invalid (field "name")."""
    before, name = by.name, name.strip()
    _check_name(name)
    with transaction.atomic():
        User.objects.filter(pk=by.pk).update(name=name)
        audit.record("account.rename", by=by, target=by.email, address=address, before=before, after=name)
    by.name = name


def _check_name(name: str) -> None:
    if not name:
        raise Invalid("Give your name, so that others know who did what.", field="name")
    if len(name) > 150:
        raise Invalid("The name is longer than 150 characters.", field="name")
    titles.check_visible(name, what="name", field="name")


def _check(user: User, password: str) -> None:
    _check_name(user.name)
    try:
        validate_email(user.email)
    except ValidationError:
        raise Invalid("This is not an e-mail address. It looks like mara@example.org.", field="email") from None
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(" ".join(error.messages), field="password") from None


def set_role(
    project: Project,
    user: User,
    role: ProjectRole,
    types: Mapping[EnvironmentType, EnvironmentRole] | None = None,
    *,
    by: User,
    address: str = "",
) -> Membership:
    """Make the person a member of the project, or change what they are in it.

    `types` matters for members only: owners and admins hold every right on every environment. Only owners make owners,
    and only they can make one less. Raises Denied, Missing, Conflict.
    """
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)  # two owners must not unmake each other at once
        owns = project.memberships.filter(user=user, role=ProjectRole.OWNER).exists()
        needed = Permission.OWN if owns or role == ProjectRole.OWNER else Permission.MANAGE_PEOPLE
        access.check_project(by, project, needed)
        member, _ = Membership.objects.update_or_create(project=project, user=user, defaults={"role": role})
        if role != ProjectRole.OWNER and not project.memberships.filter(role=ProjectRole.OWNER).exists():
            raise Conflict("A project needs at least one owner. Make somebody else an owner first.")
        for type, type_role in (types or {}).items():
            TypeRole.objects.update_or_create(membership=member, type=type, defaults={"role": type_role})
        audit.record(
            "access.set_role",
            by=by,
            project=project,
            target=user.email,
            address=address,
            role=role,
            types={str(type): str(type_role) for type, type_role in (types or {}).items()},
        )
    return member
