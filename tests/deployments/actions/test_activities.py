from typing import Any

import pytest

from deployments.actions import activities, retries
from deployments.enums import Kind, State
from deployments.models import Activity
from environments.models import Environment
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.errors import Conflict, Denied, Missing
from portal.models import AuditEvent, User
from tests.factories import ActivityFactory, EnvironmentFactory, MembershipFactory, UserFactory, member

pytestmark = pytest.mark.django_db


@pytest.fixture
def environment() -> Environment:
    return EnvironmentFactory()


@pytest.fixture
def owner(environment: Environment) -> User:
    return MembershipFactory(project=environment.project, role=ProjectRole.OWNER).user


def ask(environment: Environment, by: User | None, kind: Kind = Kind.REDEPLOY, **parameters: Any) -> Activity:
    return activities.create(
        kind=kind,
        project=environment.project,
        environment=environment,
        by=by,
        parameters=parameters,
        address="192.0.2.7",
    )


def test_asking_writes_the_activity_and_its_audit_event(environment: Environment, owner: User) -> None:
    activity = ask(environment, owner, commit="abc")
    assert (activity.state, activity.actor, activity.actor_name) == (State.PENDING, owner, str(owner))
    assert activity.parameters == {"commit": "abc"}
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.address) == ("environment.redeploy", owner, "192.0.2.7")
    assert event.details == {"activity": activity.pk}


def test_activities_are_numbered_in_the_order_of_asking(environment: Environment, owner: User) -> None:
    assert [ask(environment, owner).sequence for _ in range(3)] == [1, 2, 3]


def test_slipway_itself_may_ask(environment: Environment) -> None:
    assert ask(environment, None).actor_name == "Slipway"


@pytest.mark.parametrize("kind", [Kind.ACTIVATE, Kind.DEACTIVATE, Kind.REDEPLOY, Kind.DELETE])
def test_a_contributor_may_not_operate(environment: Environment, kind: Kind) -> None:
    by = member(environment.project, integration=EnvironmentRole.CONTRIBUTOR)
    with pytest.raises(Denied):
        ask(environment, by, kind)
    assert not Activity.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_stranger_gets_missing(environment: Environment) -> None:
    with pytest.raises(Missing):
        ask(environment, UserFactory())


def test_a_pending_activity_is_cancelled_at_once(environment: Environment, owner: User) -> None:
    activity = ask(environment, owner)
    activities.cancel(activity, by=owner)
    assert (activity.state, activity.outcome) == (State.CANCELLED, f"Cancelled by {owner} before it began.")


def test_a_running_activity_is_asked_to_stop(environment: Environment, owner: User) -> None:
    activity = ActivityFactory(environment=environment, state=State.RUNNING)
    activities.cancel(activity, by=owner)
    assert activity.state == State.RUNNING
    assert activity.cancel_requested_at is not None
    assert activity.cancelled_by == owner


def test_what_has_ended_cannot_be_cancelled(environment: Environment, owner: User) -> None:
    with pytest.raises(Conflict):
        activities.cancel(ActivityFactory(environment=environment, state=State.SUCCEEDED), by=owner)


def test_who_pushed_may_take_it_back_but_no_other_contributor(environment: Environment) -> None:
    pusher, other = (member(environment.project, integration=EnvironmentRole.CONTRIBUTOR) for _ in range(2))
    activity = ActivityFactory(environment=environment, state=State.PENDING, actor=pusher)
    with pytest.raises(Denied):
        activities.cancel(activity, by=other)
    activities.cancel(activity, by=pusher)
    assert activity.state == State.CANCELLED


def test_a_viewer_cancels_and_retries_nothing(environment: Environment) -> None:
    viewer = member(environment.project, integration=EnvironmentRole.VIEWER)
    with pytest.raises(Denied):
        activities.cancel(ActivityFactory(environment=environment, state=State.PENDING), by=viewer)
    with pytest.raises(Denied):
        retries.retry(ActivityFactory(environment=environment, state=State.FAILED), by=viewer)


def test_retrying_asks_for_the_same_once_more(environment: Environment, owner: User) -> None:
    failed = ActivityFactory(
        environment=environment,
        state=State.FAILED,
        kind=Kind.PUSH,
        parameters={"commit": environment.head_commit, "commits": []},
    )
    again = retries.retry(failed, by=owner)
    assert (again.kind, again.parameters, again.retry_of, again.actor) == (
        failed.kind,
        failed.parameters,
        failed,
        owner,
    )


def test_a_push_to_production_is_tried_again_by_its_admins_only(environment: Environment) -> None:
    """It needed more than the right to push when it was pushed; the role may have shrunk since."""
    environment.type = EnvironmentType.PRODUCTION
    environment.save()
    pusher = member(environment.project, production=EnvironmentRole.CONTRIBUTOR)
    failed = ActivityFactory(
        environment=environment,
        state=State.FAILED,
        kind=Kind.PUSH,
        actor=pusher,
        parameters={"commit": environment.head_commit},
    )
    with pytest.raises(Denied):
        retries.retry(failed, by=pusher)


def test_an_old_push_is_not_put_over_a_newer_one(environment: Environment, owner: User) -> None:
    failed = ActivityFactory(
        environment=environment, state=State.FAILED, kind=Kind.PUSH, parameters={"commit": "1" * 40}
    )
    with pytest.raises(Conflict, match="has moved on to 9f31c2e"):
        retries.retry(failed, by=owner)


def test_retrying_a_redeployment_takes_the_present_head(environment: Environment, owner: User) -> None:
    failed = ActivityFactory(
        environment=environment, state=State.FAILED, kind=Kind.REDEPLOY, parameters={"commit": "1" * 40}
    )
    assert retries.retry(failed, by=owner).parameters["commit"] == environment.head_commit


def test_only_what_failed_can_be_tried_again(environment: Environment, owner: User) -> None:
    for state in (State.PENDING, State.RUNNING, State.SUCCEEDED):
        with pytest.raises(Conflict):
            retries.retry(ActivityFactory(environment=environment, state=state), by=owner)
        Activity.objects.all().delete()


def test_retrying_an_activation_obeys_the_limit_of_now(environment: Environment, owner: User) -> None:
    Environment.objects.update(status=Environment.Status.INACTIVE)
    failed = ActivityFactory(environment=environment, state=State.FAILED, kind=Kind.ACTIVATE, parameters={"push": "p"})
    environment.project.max_active_integration = 0
    environment.project.save()
    with pytest.raises(Conflict, match="which is its limit"):
        retries.retry(failed, by=owner)
    environment.project.max_active_integration = 1
    environment.project.save()
    again = retries.retry(failed, by=owner)
    assert (again.retry_of, again.parameters) == (
        failed,
        {"push": "p", "commit": environment.head_commit, "empty": False, "data_from": None},
    )
