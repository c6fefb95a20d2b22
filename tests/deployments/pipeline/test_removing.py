"""What Slipway removes by itself: announced a day before, postponed by a click, and nothing lost."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from deployments.actions import environments as actions
from deployments.actions import merges, removals
from deployments.enums import Kind, State
from deployments.models import Activity
from deployments.pipeline import removing
from environments import drift, repositories
from environments.models import Environment
from portal.errors import Conflict, Invalid
from portal.models import AuditEvent, Project
from tests.deployments.engine import Engine


@pytest.fixture
def child(engine: Engine) -> Environment:
    """An inactive branch without commits of its own, made ten days ago, that lives for a week."""
    child = engine.branch("next")
    removals.set_lifetime(child, 7, by=engine.by)
    Environment.objects.filter(pk=child.pk).update(created_at=timezone.now() - timedelta(days=10))
    child.refresh_from_db()
    drift.refresh_branches(50)
    return child


def again(environment: Environment) -> Environment:
    return Environment.objects.get(pk=environment.pk)


def its_time_comes(environment: Environment) -> None:
    Environment.objects.filter(pk=environment.pk).update(removal_at=timezone.now() - timedelta(minutes=1))


def test_what_nobody_uses_is_announced_a_day_before_and_then_removed(engine: Engine, child: Environment) -> None:
    removing.announce()
    announced = again(child).removal_at
    assert isinstance(announced, datetime)
    assert timedelta(hours=23) < announced - timezone.now() <= timedelta(days=1)
    assert AuditEvent.objects.filter(action="environment.removal.announce", target="next").count() == 1
    removing.announce()
    removing.carry_out()
    assert again(child).removal_at == announced
    assert not Activity.objects.exists()
    its_time_comes(child)
    removing.carry_out()
    activity = engine.run(Activity.objects.get(kind=Kind.DELETE))
    assert (activity.state, activity.actor_name) == (State.SUCCEEDED, "Slipway")
    assert repositories.head(engine.repository, "next") is None


def test_an_active_one_is_deactivated_first(engine: Engine, child: Environment) -> None:
    activated = engine.run(actions.activate(child, by=None))
    assert activated.state == State.SUCCEEDED, activated.outcome
    long_ago = timezone.now() - timedelta(days=9)
    Environment.objects.filter(pk=child.pk).update(deployed_at=long_ago)
    removing.announce()
    its_time_comes(child)
    removing.carry_out()
    removing.carry_out()  # asked for already
    engine.run(Activity.objects.get(kind=Kind.DEACTIVATE))
    removing.carry_out()
    engine.run(Activity.objects.get(kind=Kind.DELETE))
    assert not Environment.objects.filter(pk=child.pk).exists()


def test_commits_that_no_other_branch_holds_keep_the_branch(engine: Engine, child: Environment) -> None:
    engine.add(child, {"only-here": "x"})
    drift.refresh_branches(50)
    removing.announce()
    assert again(child).removal_at is None  # inactive, and its branch would stay: nothing to announce
    removals.announce(child, Environment.Removal.UNUSED, timezone.now())
    its_time_comes(child)
    removing.carry_out()
    assert again(child).removal_at is None
    assert not Activity.objects.filter(kind=Kind.DELETE).exists()
    assert "no other branch holds its commits" in AuditEvent.objects.latest("pk").details["why"]


def test_use_takes_the_announcement_back_and_a_click_postpones_it(engine: Engine, child: Environment) -> None:
    removing.announce()
    removals.keep(child, by=engine.by)
    assert again(child).removal_at is None
    removing.announce()
    assert again(child).removal_at is None
    with pytest.raises(Conflict, match="not about to be removed"):
        removals.keep(child, by=engine.by)
    Environment.objects.filter(pk=child.pk).update(kept_until=None)
    removing.announce()
    Environment.objects.filter(pk=child.pk).update(visited_at=timezone.now())
    removing.announce()
    assert again(child).removal_at is None


def test_production_staging_and_the_default_branch_live_for_ever(engine: Engine) -> None:
    for environment in engine.project.environments.all():
        with pytest.raises(Conflict, match="never removed by Slipway itself"):
            removals.set_lifetime(environment, 7, by=engine.by)
    with pytest.raises(Invalid):
        removals.set_lifetime(engine.branch("next"), 5, by=engine.by)


@pytest.mark.parametrize("by_project", [True, False], ids=["the project's setting", "asked for with the merge"])
def test_a_merged_branch_is_deleted_a_day_later(engine: Engine, by_project: bool) -> None:
    Project.objects.filter(pk=engine.project.pk).update(delete_merged=by_project)
    child = engine.branch("next")
    engine.add(child, {"new.txt": "new"})
    engine.run(merges.merge(child, by=engine.by, delete=not by_project))
    assert again(child).removal_reason == Environment.Removal.MERGED
    assert not Activity.objects.filter(kind=Kind.DELETE).exists()
    its_time_comes(child)
    removing.carry_out()
    assert Activity.objects.filter(kind=Kind.DELETE, environment=child).exists()


def test_a_merged_branch_that_was_pushed_to_since_stays(engine: Engine) -> None:
    child = engine.branch("next")
    engine.add(child, {"new.txt": "new"})
    engine.run(merges.merge(child, by=engine.by, delete=True))
    engine.add(child, {"more.txt": "more"})
    its_time_comes(child)
    removing.carry_out()
    assert again(child).removal_at is None
    assert not Activity.objects.filter(kind=Kind.DELETE).exists()


def test_a_branch_that_moves_while_it_is_deleted_keeps_what_was_pushed(engine: Engine) -> None:
    child = engine.branch("next")
    activity = actions.delete(child, by=engine.by)
    head = child.head_commit
    later = engine.add(child, {"pushed": "meanwhile"})
    engine.run(activity)
    assert activity.state == State.FAILED
    assert "has moved on meanwhile" in activity.outcome
    assert repositories.head(engine.repository, "next") == later != head


def test_without_the_backup_that_was_asked_for_nothing_is_removed(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = actions.deactivate(engine.environment, by=engine.by, backup=True)
    backup = Activity.objects.get(kind=Kind.BACKUP)
    assert activity.parameters["backup"] == backup.pk
    Activity.objects.filter(pk=backup.pk).update(state=State.FAILED)
    engine.run(activity)
    assert (activity.state, activity.error_id) == (State.FAILED, "backup-missing")
    assert engine.environment.is_active


def test_nothing_hangs_below_itself_or_below_a_lower_type(engine: Engine, child: Environment) -> None:
    production = engine.project.environments.get(branch="production")
    staging = engine.project.environments.get(branch="staging")
    below = engine.branch("below", child)
    with pytest.raises(Conflict, match="hangs below next itself"):
        actions.reparent(child, below, by=engine.by)
    with pytest.raises(Conflict, match="Staging or Integration"):
        actions.reparent(child, production, by=engine.by)
    with pytest.raises(Conflict, match="hangs below Production"):
        actions.reparent(staging, child, by=engine.by)
    with pytest.raises(Conflict, match="top of the tree"):
        actions.reparent(production, staging, by=engine.by)
    actions.reparent(below, staging, by=engine.by)
    below.refresh_from_db()
    assert below.parent == staging
