"""PRODUCT's table of roles, cell by cell."""

import pytest

from environments import access as environment_access
from environments.models import Environment, EnvironmentAccess
from portal import access
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.errors import Denied, Missing
from portal.models import Membership, Project, TypeRole, User
from portal.permissions import Permission

P, E, T = Permission, EnvironmentRole, EnvironmentType
pytestmark = pytest.mark.django_db

VIEWER = {P.SEE}
CONTRIBUTOR = VIEWER | {P.PUSH, P.BRANCH, P.REQUEST_PROMOTION}
ADMIN = CONTRIBUTOR | {P.SHELL, P.OPERATE, P.FORCE_PUSH}
EXPECTED = {
    (E.NONE, T.INTEGRATION): set(),
    (E.NONE, T.PRODUCTION): set(),
    (E.VIEWER, T.INTEGRATION): VIEWER,
    (E.VIEWER, T.STAGING): VIEWER,
    (E.VIEWER, T.PRODUCTION): VIEWER,
    (E.CONTRIBUTOR, T.INTEGRATION): CONTRIBUTOR | {P.SHELL},
    (E.CONTRIBUTOR, T.STAGING): CONTRIBUTOR | {P.SHELL},
    (E.CONTRIBUTOR, T.PRODUCTION): CONTRIBUTOR,
    (E.ADMIN, T.INTEGRATION): ADMIN | {P.RESTORE, P.DELETE},
    (E.ADMIN, T.STAGING): ADMIN | {P.RESTORE, P.DELETE},
    (E.ADMIN, T.PRODUCTION): ADMIN,
}


@pytest.fixture
def project() -> Project:
    return Project.objects.create(title="Harbour", source="starter", source_name="store", state="ready")


@pytest.fixture
def user() -> User:
    return User.objects.create_user("ilya@example.org", "correct horse battery", name="Ilya")


def environment(project: Project, type: EnvironmentType) -> Environment:
    return Environment.objects.create(
        project=project, branch=str(type), name=str(type), title=str(type), machine_name=f"{type}-abcdefg", type=type
    )


@pytest.mark.parametrize(("role", "type"), EXPECTED)
def test_a_member_may_what_the_table_says(
    project: Project, user: User, role: EnvironmentRole, type: EnvironmentType
) -> None:
    member = Membership.objects.create(project=project, user=user, role=ProjectRole.MEMBER)
    TypeRole.objects.create(membership=member, type=type, role=role)
    assert set(environment_access.permissions(user, environment(project, type))) == EXPECTED[role, type]


@pytest.mark.parametrize(
    ("role", "on_project"),
    [
        (ProjectRole.ADMIN, {P.MANAGE_PEOPLE, P.MANAGE_PROJECT}),
        (ProjectRole.OWNER, {P.MANAGE_PEOPLE, P.MANAGE_PROJECT, P.APPROVE, P.OWN}),
    ],
)
def test_project_roles_hold_every_right_on_environments(
    project: Project, user: User, role: ProjectRole, on_project: set[Permission]
) -> None:
    Membership.objects.create(project=project, user=user, role=role)
    allowed = environment_access.permissions(user, environment(project, T.PRODUCTION))
    assert allowed == on_project | ADMIN | {P.RESTORE, P.DELETE}


def test_the_role_on_one_environment_beats_the_role_on_its_type(project: Project, user: User) -> None:
    member = Membership.objects.create(project=project, user=user, role=ProjectRole.MEMBER)
    TypeRole.objects.create(membership=member, type=T.INTEGRATION, role=E.ADMIN)
    one = environment(project, T.INTEGRATION)
    EnvironmentAccess.objects.create(environment=one, user=user, role=E.NONE)
    with pytest.raises(Missing):
        environment_access.check(user, one, P.SEE)


def test_a_stranger_finds_nothing(project: Project, user: User) -> None:
    one = environment(project, T.INTEGRATION)
    with pytest.raises(Missing):
        access.find_project(user, project.pk)
    with pytest.raises(Missing):
        environment_access.find(user, project.pk, one.name)
    assert not environment_access.can(user, one, P.SEE)


def test_a_superuser_sees_no_project_by_that_alone(project: Project) -> None:
    root = User.objects.create_superuser("root@example.org", "correct horse battery")
    with pytest.raises(Missing):
        access.find_project(root, project.pk)


def test_a_suspended_owner_has_no_access(project: Project, user: User) -> None:
    Membership.objects.create(project=project, user=user, role=ProjectRole.OWNER)
    user.is_active = False
    user.save()
    with pytest.raises(Missing):
        access.find_project(user, project.pk)


def test_denied_says_who_could(project: Project, user: User) -> None:
    member = Membership.objects.create(project=project, user=user, role=ProjectRole.MEMBER)
    TypeRole.objects.create(membership=member, type=T.PRODUCTION, role=E.VIEWER)
    with pytest.raises(Denied, match="needs the role admin on production"):
        environment_access.check(user, environment(project, T.PRODUCTION), P.OPERATE)
    with pytest.raises(Denied, match="project role owner"):
        access.check_project(user, project, P.APPROVE)
