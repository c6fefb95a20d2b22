import threading
from typing import Any

import pytest
from django.db import connection

from deployments.actions import environments as actions
from deployments.enums import Kind, State
from deployments.models import Activity
from environments import repositories
from environments.models import Environment
from portal.enums import EnvironmentRole, ProjectRole
from portal.errors import Conflict, Denied, Invalid
from portal.models import User
from tests.factories import (
    ActivityFactory,
    EnvironmentFactory,
    MembershipFactory,
    ProjectFactory,
    ReleaseFactory,
    member,
    tree,
)

pytestmark = pytest.mark.django_db

INACTIVE = Environment.Status.INACTIVE


def owner_of(environment: Environment) -> User:
    return MembershipFactory(project=environment.project, role=ProjectRole.OWNER).user


def test_activation_takes_the_branchs_head() -> None:
    environment = EnvironmentFactory(status=INACTIVE)
    activity = actions.activate(environment, by=owner_of(environment))
    told = {"commit": environment.head_commit, "empty": False, "data_from": None}
    assert (activity.kind, activity.parameters) == (Kind.ACTIVATE, told)


def test_the_ninth_active_integration_is_refused_with_the_list_of_active_ones() -> None:
    environment = EnvironmentFactory(status=INACTIVE)
    for number in range(8):
        active = EnvironmentFactory(project=environment.project, branch=f"sprint-{number}")
        ReleaseFactory(environment=active)
    with pytest.raises(Conflict) as refusal:
        actions.activate(environment, by=owner_of(environment))
    assert "has 8 active Integration environments, which is its limit" in refusal.value.message
    assert "sprint-3 (last deployed " in refusal.value.message


def test_those_being_activated_count_and_staging_and_production_do_not() -> None:
    project = ProjectFactory(max_active_integration=2)
    made = tree(project, "a", "b")
    Environment.objects.filter(branch__in=["a", "b"]).update(status=INACTIVE)
    by = MembershipFactory(project=project).user
    assert actions.activate(made["a"], by=by)  # with master that makes two
    with pytest.raises(Conflict, match="a \\(being activated\\)"):
        actions.activate(made["b"], by=by)


@pytest.mark.django_db(transaction=True)
def test_two_activations_at_once_do_not_pass_the_limit_together() -> None:
    project = ProjectFactory(max_active_integration=1)
    rivals = [EnvironmentFactory(project=project, status=INACTIVE) for _ in range(4)]
    barrier = threading.Barrier(4)
    outcomes: list[Any] = []

    def activate(environment: Environment) -> None:
        barrier.wait()
        try:
            outcomes.append(actions.activate(environment, by=None))
        except Conflict as conflict:
            outcomes.append(conflict)
        finally:
            connection.close()

    threads = [threading.Thread(target=activate, args=(each,)) for each in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, Activity) for outcome in outcomes) == 1


def test_what_is_active_or_being_activated_is_not_activated_again() -> None:
    environment = EnvironmentFactory()
    with pytest.raises(Conflict, match="is active already"):
        actions.activate(environment, by=None)
    Environment.objects.update(status=INACTIVE)
    actions.activate(environment, by=None)
    with pytest.raises(Conflict, match="is being activated already"):
        actions.activate(environment, by=None)


def test_an_inactive_environment_has_nothing_to_redeploy_or_deactivate() -> None:
    environment = EnvironmentFactory(status=INACTIVE)
    by = owner_of(environment)
    for action in (actions.redeploy, actions.deactivate):
        with pytest.raises(Conflict, match="is inactive"):
            action(environment, by=by)


def test_production_cannot_be_deactivated_or_deleted() -> None:
    production = tree(ProjectFactory())["production"]
    with pytest.raises(Conflict, match="Production cannot be deactivated"):
        actions.deactivate(production, by=None)
    Environment.objects.update(status=INACTIVE)
    with pytest.raises(Conflict, match="part of every project"):
        actions.delete(production, by=None)


def test_deletion_is_refused_while_something_depends_on_the_environment() -> None:
    made = tree(ProjectFactory(), "a")
    a = made["a"]
    with pytest.raises(Conflict, match="Deactivate it first"):
        actions.delete(a, by=None)
    Environment.objects.filter(pk=a.pk).update(status=INACTIVE)
    child = EnvironmentFactory(project=a.project, parent=a)
    with pytest.raises(Conflict, match=f"has children: {child.title}"):
        actions.delete(a, by=None)
    child.delete()
    running = ActivityFactory(environment=a, state=State.RUNNING)
    with pytest.raises(Conflict, match="has an activity that has not ended"):
        actions.delete(a, by=None)
    running.delete()
    assert actions.delete(a, by=None).parameters["branch"] == "a"


@pytest.mark.parametrize("role", [EnvironmentRole.VIEWER, EnvironmentRole.CONTRIBUTOR])
def test_small_roles_operate_nothing(role: EnvironmentRole) -> None:
    environment = EnvironmentFactory(status=INACTIVE)
    by = member(environment.project, integration=role)
    for action in (actions.activate, actions.redeploy, actions.deactivate, actions.delete):
        with pytest.raises(Denied):
            action(environment, by=by)
    assert not Activity.objects.exists()


@pytest.mark.parametrize("name", ["--upload-pack=x", "HEAD", "a..b", "a\nb", "x" * 300, "", "über", "a b", ".lock/x"])
def test_bad_branch_names_are_refused(name: str) -> None:
    parent = EnvironmentFactory()
    with pytest.raises(Invalid) as refusal:
        actions.branch(parent, name=name, title="", by=owner_of(parent), activate=False)
    assert refusal.value.field == "branch"


def test_a_branch_needs_a_free_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repositories, "head", lambda *_: None)
    parent = EnvironmentFactory(branch="master")
    EnvironmentFactory(project=parent.project, branch="feature/one")
    by = member(parent.project, integration=EnvironmentRole.CONTRIBUTOR)
    with pytest.raises(Conflict, match="has that name already"):
        actions.branch(parent, name="Feature-One", title="", by=by, activate=False)
    activity = actions.branch(parent, name="feature/two", title=" Two ", by=by, activate=True)
    assert activity.parameters == {
        "branch": "feature/two",
        "title": "Two",
        "commit": parent.head_commit,
        "activate": True,
        "empty": False,
    }
