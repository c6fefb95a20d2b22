"""Branch, deactivate, delete."""

import pytest

from deployments.actions import activities
from deployments.actions import environments as actions
from deployments.enums import Kind, State
from deployments.models import Activity, Release
from deployments.pipeline import specs
from environments import repositories
from environments.models import Environment, Host, Service
from portal.errors import Conflict
from tests.deployments.engine import Engine
from tests.deployments.pipeline.test_deploy import SERVICES


def test_a_branch_begins_at_its_parents_head_and_its_creator_is_admin_of_it(engine: Engine) -> None:
    activity = actions.branch(engine.environment, name="sprint/42", title="Sprint 42", by=engine.by, activate=False)
    engine.run(activity)
    assert activity.state == State.SUCCEEDED, activity.outcome
    made = engine.project.environments.get(branch="sprint/42")
    assert (made.title, made.parent, made.status) == ("Sprint 42", engine.environment, Environment.Status.INACTIVE)
    assert repositories.head(engine.repository, "sprint/42") == made.head_commit == engine.environment.head_commit
    assert made.access.get().user == engine.by


def test_a_branch_is_activated_when_asked_for(engine: Engine) -> None:
    engine.run(actions.branch(engine.environment, name="next", title="", by=engine.by, activate=True))
    made = engine.project.environments.get(branch="next")
    follow = Activity.objects.get(environment=made)
    assert follow.kind == Kind.ACTIVATE
    engine.run(follow)
    assert follow.state == State.SUCCEEDED, follow.outcome
    assert engine.served_by(made) == 1


def test_deactivation_removes_everything_but_the_branch(engine: Engine) -> None:
    engine.run(engine.push(SERVICES))
    engine.run(engine.ask(Kind.ACTIVATE))
    engine.run(actions.deactivate(engine.environment, by=engine.by))
    place = specs.place_of(engine.environment)
    assert engine.environment.status == Environment.Status.INACTIVE
    assert engine.served_by() is None
    assert list(engine.runtime.releases(place)) == []
    assert list(engine.runtime.services(place)) == []
    assert not Service.objects.exists()
    assert not Host.objects.exists()
    assert not Release.objects.filter(state=Release.State.LIVE).exists()
    assert repositories.head(engine.repository, "master")
    # And it comes back with the next number.
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.SUCCEEDED
    assert engine.served_by() == 2


def test_a_lost_deactivation_is_gone_on_with(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from deployments import state
    from deployments.pipeline import sweeping

    engine.run(engine.ask(Kind.ACTIVATE))
    activity = actions.deactivate(engine.environment, by=engine.by)
    with monkeypatch.context() as patched:

        def die(*_: object) -> None:
            raise state.LostLease("died")

        patched.setattr(engine.runtime, "remove", die)
        engine.run(activity)
    Activity.objects.filter(pk=activity.pk).update(lease_until="2020-01-01T00:00:00Z")
    sweeping.sweep()
    assert engine.run(activity).state == State.SUCCEEDED
    assert list(engine.runtime.releases(specs.place_of(engine.environment))) == []


def made(engine: Engine) -> Environment:
    engine.run(actions.branch(engine.environment, name="next", title="", by=engine.by, activate=False))
    return engine.project.environments.get(branch="next")


def test_deletion_removes_branch_and_environment_and_keeps_the_activity(engine: Engine) -> None:
    activity = actions.delete(made(engine), by=engine.by)
    assert engine.project.environments.get(branch="next").status == Environment.Status.DELETING
    engine.run(activity)
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert activity.environment is None
    assert not engine.project.environments.filter(branch="next").exists()
    assert repositories.head(engine.repository, "next") is None


def test_nothing_is_asked_of_an_environment_that_is_being_deleted(engine: Engine) -> None:
    environment = made(engine)
    actions.delete(environment, by=engine.by)
    with pytest.raises(Conflict, match="is being deleted"):
        actions.activate(environment, by=engine.by)


def test_a_deletion_that_is_cancelled_or_fails_leaves_the_environment_as_it_was(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = made(engine)
    activities.cancel(actions.delete(environment, by=engine.by), by=engine.by)
    environment.refresh_from_db()
    assert environment.status == Environment.Status.INACTIVE
    engine.runtime.fail("remove")
    activity = engine.run(actions.delete(environment, by=engine.by))
    assert activity.state == State.FAILED
    environment.refresh_from_db()
    assert environment.status == Environment.Status.INACTIVE
    assert repositories.head(engine.repository, "next")
