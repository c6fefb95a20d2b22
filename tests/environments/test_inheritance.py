import pytest

from environments import inheritance
from environments.models import Environment, Variable
from portal.models import Project
from tests.factories import ProjectFactory, tree

pytestmark = pytest.mark.django_db


def put(project: Project, environment: Environment | None, name: str, text: str, **flags: bool) -> Variable:
    row = Variable(project=project, environment=environment, name=name, **flags)
    row.text = text
    row.save()
    return row


@pytest.fixture
def made() -> dict[str, Environment]:
    return tree(ProjectFactory(), "child")


def values(environment: Environment) -> dict[str, object]:
    return {each.name: each.value for each in inheritance.variables_of(environment) if each.is_enabled}


def test_the_nearest_one_counts_from_the_project_down_to_the_child(made: dict[str, Environment]) -> None:
    project = made["master"].project
    put(project, None, "env:A", "project")
    assert values(made["child"]) == {"env:A": "project"}
    put(project, made["production"], "env:A", "production")
    put(project, made["master"], "env:A", "master")
    assert values(made["child"]) == {"env:A": "master"}
    assert values(made["staging"]) == {"env:A": "production"}
    put(project, made["child"], "env:A", '{"of": "child"}', is_json=True)
    assert values(made["child"]) == {"env:A": {"of": "child"}}


def test_what_is_not_inheritable_stays_where_it_is(made: dict[str, Environment]) -> None:
    project = made["master"].project
    put(project, None, "env:A", "project")
    put(project, made["staging"], "env:A", "staging", is_inheritable=False)
    assert values(made["staging"]) == {"env:A": "staging"}
    assert values(made["child"]) == {"env:A": "project"}


def test_a_disabled_one_hides_what_is_inherited_from_itself_down(made: dict[str, Environment]) -> None:
    project = made["master"].project
    put(project, None, "env:A", "project")
    put(project, made["master"], "env:A", "", is_enabled=False, visible_runtime=False)
    assert values(made["staging"]) == {"env:A": "project"}
    assert values(made["child"]) == {}
    hiding = inheritance.variables_of(made["child"])[0]
    assert (hiding.visible_build, hiding.visible_runtime) == (True, True)  # the app's own of the name is hidden too


def test_another_projects_variables_are_not_seen(made: dict[str, Environment]) -> None:
    other = tree(ProjectFactory())["master"]
    put(other.project, None, "env:A", "x")
    put(other.project, other, "env:B", "x")
    assert values(made["child"]) == {}


def test_values_are_encrypted_in_the_database(made: dict[str, Environment]) -> None:
    row = put(made["master"].project, None, "env:A", "correct horse")
    assert "correct" not in row.sealed
    assert Variable.objects.get().text == "correct horse"
