"""Whose data a new environment begins with."""

import pytest

from deployments.actions import data
from deployments.actions import environments as actions
from environments.models import Environment
from portal.enums import EnvironmentRole, EnvironmentType
from tests import factories as make

pytestmark = pytest.mark.django_db
INACTIVE = Environment.Status.INACTIVE


@pytest.fixture
def tree() -> dict[str, Environment]:
    return make.tree(make.ProjectFactory(), "next")


def test_activating_copies_the_parents_data_unless_empty_is_asked_for(tree: dict[str, Environment]) -> None:
    owner = make.MembershipFactory(project=tree["master"].project).user
    child = make.EnvironmentFactory(project=tree["master"].project, parent=tree["master"], status=INACTIVE)
    other = make.EnvironmentFactory(project=tree["master"].project, parent=tree["master"], status=INACTIVE)
    assert actions.activate(child, by=owner).parameters["data_from"] == tree["master"].pk
    asked = actions.activate(other, by=owner, empty=True)
    assert (asked.parameters["data_from"], asked.parameters["empty"]) == (None, True)


def test_no_data_leaves_production(tree: dict[str, Environment]) -> None:
    why = data.why_not_of_parent(tree["production"], EnvironmentType.STAGING)
    assert why == "The data of production leaves it only masked: begin empty."
    assert data.origin(tree["staging"], empty=False, by=None) is None


def test_an_inactive_parent_has_none_and_data_never_goes_up(tree: dict[str, Environment]) -> None:
    tree["master"].status = INACTIVE
    assert "is inactive" in data.why_not_of_parent(tree["master"], EnvironmentType.INTEGRATION)
    tree["master"].status = Environment.Status.ACTIVE
    assert "only comes down" in data.why_not_of_parent(tree["master"], EnvironmentType.STAGING)
    assert data.why_not_of_parent(None, EnvironmentType.INTEGRATION)


def test_who_may_not_read_the_parents_data_gets_none_of_it(tree: dict[str, Environment]) -> None:
    someone = make.member(tree["master"].project, staging=EnvironmentRole.VIEWER, integration=EnvironmentRole.ADMIN)
    assert "may not read" in data.why_not_of_parent(tree["staging"], EnvironmentType.INTEGRATION, readable=False)
    assert data.origin(tree["master"], empty=False, by=someone) is None
    assert data.origin(tree["next"], empty=False, by=someone) == tree["master"].pk
