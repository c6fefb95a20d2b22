"""A project with many branches: what stands out is shown, the rest is folded away and has a page of its own."""

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from deployments.enums import State
from environments.models import Environment
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.models import Membership, TypeRole
from tests import factories as make

pytestmark = pytest.mark.django_db

MANY = 45


@pytest.fixture
def owner() -> Membership:
    member: Membership = make.MembershipFactory(role=ProjectRole.OWNER)
    tree = make.tree(member.project)
    for number in range(MANY):
        fold(member, f"sleeper-{number:02}", tree["master"])
    return member


def fold(member: Membership, branch: str, parent: Environment) -> Environment:
    made: Environment = make.EnvironmentFactory(
        project=member.project, branch=branch, parent=parent, status=Environment.Status.INACTIVE
    )
    return made


def signed_in(member: Membership) -> Client:
    client = Client()
    client.force_login(member.user)
    return client


def read(member: Membership, path: str = "") -> str:
    answer = signed_in(member).get(f"/projects/{member.project_id}/{path}" if path != "/" else "/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_first_are_named_and_all_are_one_click_away(owner: Membership) -> None:
    for page in (read(owner), read(owner, "side")):
        assert f"{MANY} inactive branches" in page
        assert "sleeper-19" in page
        assert "sleeper-20" not in page
        assert f'href="/projects/{owner.project_id}/inactive"' in page
    all_of_them = read(owner, "inactive")
    assert all(f"sleeper-{number:02}</a>" in all_of_them for number in range(MANY))


def test_they_are_found_by_a_part_of_their_names(owner: Membership) -> None:
    found = read(owner, "inactive?q=R-4")
    assert "sleeper-44</a>" in found
    assert "sleeper-39</a>" not in found
    assert "No inactive branch has" in read(owner, "inactive?q=nothing")


def test_a_folded_branch_is_shown_where_the_page_is_about_it(owner: Membership) -> None:
    page = read(owner, "environments/sleeper-44/")
    assert f'href="/projects/{owner.project_id}/environments/sleeper-44/" aria-current="page"' in page
    assert "sleeper-43" not in page


def test_an_active_branch_below_a_folded_one_brings_it_into_the_tree(owner: Membership) -> None:
    parent = Environment.objects.get(branch="sleeper-44")
    make.EnvironmentFactory(project=owner.project, branch="awake", parent=parent, status=Environment.Status.ACTIVE)
    page = read(owner, "side")
    assert page.index("sleeper-44") < page.index("awake") < page.index("inactive branches")
    assert f"{MANY - 1} inactive branches" in page


def test_no_more_is_read_for_many(owner: Membership, django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    for path in ("", "side", "inactive", "environments/sleeper-44/settings", "environments/master/branch"):
        client = signed_in(owner)
        with django_assert_max_num_queries(9, info=path):
            assert client.get(f"/projects/{owner.project_id}/{path}").status_code == 200


def test_people_see_the_branches_that_they_may(owner: Membership) -> None:
    member: Membership = make.MembershipFactory(project=owner.project, role=ProjectRole.MEMBER)
    own = Environment.objects.get(branch="sleeper-07")
    make.EnvironmentAccessFactory(environment=own, user=member.user, role=EnvironmentRole.VIEWER)
    assert "sleeper-07" in read(member, "inactive")
    assert "sleeper-08" not in read(member, "inactive")
    TypeRole.objects.create(membership=member, type=EnvironmentType.INTEGRATION, role=EnvironmentRole.VIEWER)
    assert "sleeper-08" in read(member, "inactive")


def test_the_list_of_projects_tells_of_inactive_ones_that_failed(owner: Membership) -> None:
    assert "failing" not in read(owner, "/")
    make.ActivityFactory(environment=Environment.objects.get(branch="sleeper-03"), state=State.FAILED)
    assert "1 failing" in read(owner, "/")
