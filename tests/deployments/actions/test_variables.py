import json
from typing import Any

import pytest

from deployments.actions import variables as actions
from deployments.actions.variables import Draft, Outdated, Wrong
from deployments.enums import Kind
from deployments.models import Activity
from environments.models import Environment, Variable
from portal.enums import EnvironmentRole, ProjectRole
from portal.errors import Conflict, Denied, Invalid, Missing
from portal.models import AuditEvent, User
from tests.factories import MembershipFactory, ProjectFactory, UserFactory, member, tree

pytestmark = pytest.mark.django_db


@pytest.fixture
def master() -> Environment:
    return tree(ProjectFactory(), "child")["master"]


@pytest.fixture
def by(master: Environment) -> User:
    return MembershipFactory(project=master.project, role=ProjectRole.OWNER).user


def save(master: Environment, by: User, *drafts: Draft, **given: Any) -> tuple[actions.Names, list[Activity]]:
    environment = given.pop("environment", master)
    seen = given.pop("seen", None) or actions.version(actions.own(master.project, environment))
    return actions.save(master.project, environment, drafts, seen=seen, by=by, **given)


def test_a_table_is_saved_as_one_change_with_one_redeployment(master: Environment, by: User) -> None:
    save(master, by, Draft(None, "env:a", "1"), Draft(None, "env:B", "2"))
    a, b = actions.own(master.project, master)
    names, asked = save(
        master,
        by,
        Draft(a.pk, "env:A", "3", visible_build=True),
        Draft(b.pk, "env:B", "2", remove=True),
        Draft(None, "theme:c", "[1]", is_json=True),
        redeploy=[master],
    )
    assert str(names) == "added theme:c; changed env:A; removed env:B"
    assert [activity.kind for activity in asked] == [Kind.REDEPLOY]
    assert Activity.objects.count() == 1
    assert {row.name: row.value for row in actions.own(master.project, master)} == {"env:A": "3", "theme:c": [1]}


def test_names_can_be_swapped(master: Environment, by: User) -> None:
    save(master, by, Draft(None, "env:A", "1"), Draft(None, "env:B", "2"))
    a, b = actions.own(master.project, master)
    save(master, by, Draft(a.pk, "env:B", "1"), Draft(b.pk, "env:A", "2"))
    assert {row.name: row.text for row in actions.own(master.project, master)} == {"env:A": "2", "env:B": "1"}


def test_all_wrong_rows_are_told_and_nothing_is_saved(master: Environment, by: User) -> None:
    with pytest.raises(Wrong) as refusal:
        save(
            master,
            by,
            Draft(None, "env:GOOD", "1"),
            Draft(None, "env:1", "x"),
            Draft(None, "a:b", "{", is_json=True),
            Draft(None, "env:x", "1"),
            Draft(None, "env:X", "2"),
        )
    assert sorted(refusal.value.rows) == [1, 2, 3, 4]
    assert "line 1, column 2" in refusal.value.rows[2][0][1]
    assert not Variable.objects.exists()


def test_the_second_of_two_people_is_told(master: Environment, by: User) -> None:
    seen = actions.version(actions.own(master.project, master))
    save(master, by, Draft(None, "env:A", "1"))
    with pytest.raises(Outdated, match="added env:A while you were editing"):
        save(master, by, Draft(None, "env:B", "2"), seen=seen)
    assert [row.name for row in Variable.objects.all()] == ["env:A"]


def test_each_change_makes_another_version(master: Environment, by: User) -> None:
    seen = set()
    for number in range(3):
        save(master, by, Draft(None, f"env:A{number}", "1"))
        seen.add(actions.version(actions.own(master.project, master)))
    first, middle, _ = actions.own(master.project, master)
    save(master, by, Draft(first.pk, first.name, "2"))
    seen.add(actions.version(actions.own(master.project, master)))
    save(master, by, Draft(middle.pk, middle.name, "2", remove=True))
    seen.add(actions.version(actions.own(master.project, master)))
    assert len(seen) == 5


def test_a_sensitive_one_keeps_its_value_and_stays_sensitive(master: Environment, by: User) -> None:
    save(master, by, Draft(None, "env:TOKEN", "hush", is_sensitive=True))
    (row,) = actions.own(master.project, master)
    save(master, by, Draft(row.pk, "env:TOKEN", None, is_sensitive=True, visible_build=True))
    (row,) = actions.own(master.project, master)
    assert (row.text, row.visible_build) == ("hush", True)
    with pytest.raises(Wrong) as refusal:
        save(master, by, Draft(row.pk, "env:TOKEN", None))
    assert refusal.value.rows[0][0][0] == "is_sensitive"
    with pytest.raises(Wrong):
        save(master, by, Draft(None, "env:OTHER", "", is_sensitive=True))


def test_the_audit_has_names_and_never_values(master: Environment, by: User) -> None:
    save(master, by, Draft(None, "env:A", "correct horse"), address="192.0.2.7")
    (row,) = actions.own(master.project, master)
    save(master, by, Draft(row.pk, "env:A", "battery staple", visible_build=True))
    events = AuditEvent.objects.filter(action="environment.variables")
    assert [event.details["said"] for event in events] == ["changed env:A", "added env:A"]
    assert events[0].details["before"]["env:A"] != events[0].details["after"]["env:A"]
    told = json.dumps([event.details for event in events])
    assert "horse" not in told
    assert "staple" not in told


def test_what_is_too_large_together_with_what_is_inherited_is_refused(master: Environment, by: User) -> None:
    large = "x" * 90_000
    save(master, by, Draft(None, "a:b", large), environment=None)
    with pytest.raises(Invalid, match="PLATFORM_VARIABLES"):
        save(master, by, Draft(None, "a:c", large))
    assert Variable.objects.count() == 1


def test_too_many_are_refused(master: Environment, by: User) -> None:
    with pytest.raises(Invalid, match="300 are possible"):
        save(master, by, *[Draft(None, f"env:A{n}", "") for n in range(301)])


def test_who_may(master: Environment) -> None:
    admin = member(master.project, integration=EnvironmentRole.ADMIN)
    save(master, admin, Draft(None, "env:A", "1"))
    with pytest.raises(Denied):
        save(master, admin, Draft(None, "env:A", "1"), environment=None)
    with pytest.raises(Denied):
        save(master, member(master.project, integration=EnvironmentRole.CONTRIBUTOR), Draft(None, "env:B", "1"))
    with pytest.raises(Missing):
        save(master, UserFactory(), Draft(None, "env:B", "1"))


def test_a_redeployment_that_cannot_be_takes_the_change_back(master: Environment, by: User) -> None:
    Environment.objects.filter(pk=master.pk).update(status=Environment.Status.INACTIVE)
    with pytest.raises(Conflict):
        save(master, by, Draft(None, "env:A", "1"), redeploy=[master])
    assert not Variable.objects.exists()
