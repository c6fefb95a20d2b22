"""Backups and copies of data, on the fake runtime: what a database, a store and a disk show of them."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from deployments import state
from deployments.actions import backups as actions
from deployments.enums import Kind, State, StepState
from deployments.models import Activity, Backup
from deployments.pipeline import specs, sweeping
from environments.backups import store
from environments.models import Environment
from portal.errors import Conflict, Denied
from tests.deployments.engine import Engine, log_of, steps_of
from tests.deployments.pipeline.test_deploy import SERVICES
from tests.factories import EnvironmentFactory, member


@pytest.fixture
def stored(settings: Any, fake_home: Any) -> Path:
    options = {"location": fake_home.backups, "base_url": None}
    settings.STORAGES = settings.STORAGES | {
        "backups": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    }
    return Path(fake_home.backups)


@pytest.fixture
def live(engine: Engine, stored: Path) -> Engine:
    """master, active, with a cache and a mount that hold something."""
    for activity in (engine.push(SERVICES), engine.ask(Kind.ACTIVATE)):
        assert engine.run(activity).state == State.SUCCEEDED
    write(engine, engine.environment, "first")
    return engine


def write(engine: Engine, environment: Environment, text: str) -> None:
    place = specs.place_of(environment)
    (engine.runtime.data(place, "services", "cache") / "keys").write_text(text)
    (engine.runtime.data(place, "mounts", "app-app") / "upload").write_text(text)


def read(engine: Engine, environment: Environment) -> set[str]:
    place = specs.place_of(environment)
    data = engine.runtime.data
    return {
        (data(place, "services", "cache") / "keys").read_text(),
        (data(place, "mounts", "app-app") / "upload").read_text(),
    }


def take(engine: Engine, **options: Any) -> Backup:
    activity = engine.run(actions.create(engine.environment, by=engine.by, **options))
    assert activity.state == State.SUCCEEDED, activity.outcome
    return Backup.objects.get(activity=activity)


def test_a_backup_is_stored_with_its_release_and_proven(live: Engine, stored: Path) -> None:
    activity = live.run(actions.create(live.environment, by=live.by))
    backup = Backup.objects.get()
    assert steps_of(activity) == [
        (title, StepState.SUCCEEDED)
        for title in ("Copy the data of one instant", "Compress and store", "Prove it by restoring it")
    ]
    assert (backup.state, backup.proof, backup.reason) == ("stored", "proven", "asked")
    assert backup.release_number == 1
    assert [part["name"] for part in backup.parts] == ["cache", "app-app"]
    assert backup.at is not None
    assert backup.counts["cache"] == {"keys": 5}
    names = store.names(live.project.pk, backup.pk)
    assert names == ["manifest.json", "part-01.tar.zst", "part-02.tar.zst"]
    text = (stored / live.project.pk / backup.pk / "manifest.json").read_text()
    assert '"commit"' in text
    assert backup.asked_by == str(live.by)
    assert not django_settings.HOME.snapshot(activity.pk).exists()


@pytest.mark.parametrize("verb", ["snapshot", "count"])
def test_what_cannot_be_copied_is_no_backup_and_what_cannot_be_proven_says_so(live: Engine, verb: str) -> None:
    live.runtime.fail(verb)
    activity = live.run(actions.create(live.environment, by=live.by))
    assert activity.state == State.FAILED
    if verb == "snapshot":
        assert not Backup.objects.exists()
        assert store.all_ids() == []
    else:
        backup = Backup.objects.get()
        assert (backup.state, backup.proof) == ("stored", "failed")
        assert list(Backup.objects.bad()) == [backup]
        assert "stored, but it could not be proven" in activity.outcome
    assert activity.outcome.endswith("v1 keeps serving.")


def test_a_full_disk_is_said_and_leaves_nothing(live: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.Hashing, "read", full)
    activity = live.run(actions.create(live.environment, by=live.by))
    assert (activity.state, activity.error_id) == (State.FAILED, "no-space")
    assert "Delete backups" in activity.outcome
    assert not Backup.objects.exists()
    assert store.all_ids() == []


def test_an_inactive_environment_has_nothing_to_back_up(engine: Engine) -> None:
    with pytest.raises(Conflict, match="inactive"):
        actions.create(engine.environment, by=engine.by)


def test_a_contributor_may_not_back_up(live: Engine) -> None:
    from portal.enums import EnvironmentRole

    with pytest.raises(Denied):
        actions.create(live.environment, by=member(live.project, integration=EnvironmentRole.CONTRIBUTOR))


def test_a_worker_lost_before_the_backup_is_stored_leaves_nothing(live: Engine) -> None:
    activity = actions.create(live.environment, by=live.by)
    _lose(activity, ("copy", StepState.SUCCEEDED), ("store", StepState.RUNNING))
    Backup.objects.create(project=live.project, environment=live.environment, environment_title="x", activity=activity)
    half = django_settings.HOME.snapshot(activity.pk) / "data"
    half.mkdir(parents=True)
    sweeping.sweep()
    activity.refresh_from_db()
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost")
    assert not Backup.objects.exists()
    assert not half.exists()


def test_a_worker_lost_in_the_proof_is_followed_by_another(live: Engine) -> None:
    backup = take(live)
    Backup.objects.update(proof="")
    again = Activity.objects.get(pk=backup.activity_id)
    Activity.objects.filter(pk=again.pk).update(state=State.PENDING, finished_at=None)
    again.steps.filter(name="prove").update(state=StepState.PENDING)
    _lose(again, ("prove", StepState.RUNNING))
    sweeping.sweep()
    again.refresh_from_db()
    assert again.state == State.PENDING
    assert live.run(again).state == State.SUCCEEDED
    backup.refresh_from_db()
    assert backup.proof == "proven"


def _lose(activity: Activity, *steps: tuple[str, StepState]) -> None:
    """As if its worker had died in the last of these steps."""
    claimed = state.claim(activity.pk, "gone")
    assert claimed is not None
    for position, (name, reached) in enumerate(steps, 1):
        if not activity.steps.filter(name=name).update(state=reached):
            activity.steps.create(name=name, position=position, title=name, state=reached)
    Activity.objects.filter(pk=activity.pk).update(lease_until="2020-01-01T00:00:00Z")


# -- copies at activation ---------------------------------------------------------------------------------------------


@pytest.fixture
def child(live: Engine) -> Environment:
    made: Environment = EnvironmentFactory(
        project=live.project,
        branch="feature",
        parent=live.environment,
        status=Environment.Status.INACTIVE,
        head_commit=live.environment.head_commit,
    )
    return made


def test_a_branch_begins_with_the_data_of_its_parent(live: Engine, child: Environment) -> None:
    activity = live.run(live.ask(Kind.ACTIVATE, child, data_from=live.environment.pk))
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert f"Copy data of {live.environment.title}" in [title for title, _ in steps_of(activity)]
    assert read(live, child) == {"first"}
    child.refresh_from_db()
    assert child.data_source == f"Copy of {live.environment.title}"
    assert child.data_at is not None
    activity.refresh_from_db()
    assert activity.holds is None
    write(live, live.environment, "second")
    assert read(live, child) == {"first"}


def test_without_a_source_it_begins_empty(live: Engine, child: Environment) -> None:
    live.run(live.ask(Kind.ACTIVATE, child, data_from=None))
    child.refresh_from_db()
    assert child.data_source == ""
    assert child.data_at is None


def test_nothing_is_copied_from_production(live: Engine, child: Environment) -> None:
    production = live.project.environments.get(branch="production")
    Environment.objects.filter(pk=production.pk).update(status=Environment.Status.ACTIVE)
    activity = live.run(live.ask(Kind.ACTIVATE, child, data_from=production.pk))
    assert (activity.state, activity.error_id) == (State.FAILED, "data-source")
    assert "Nothing unmasked leaves Production" in activity.outcome
    assert not any(entry["verb"] == "snapshot" for entry in live.runtime.journal())


def test_another_projects_data_cannot_be_had(live: Engine, child: Environment) -> None:
    other = EnvironmentFactory()
    activity = live.run(live.ask(Kind.ACTIVATE, child, data_from=other.pk))
    assert (activity.state, activity.error_id) == (State.FAILED, "data-source-gone")


def test_a_failed_copy_leaves_the_target_as_it_was(live: Engine, child: Environment) -> None:
    live.runtime.fail("snapshot")
    activity = live.run(live.ask(Kind.ACTIVATE, child, data_from=live.environment.pk))
    assert activity.state == State.FAILED
    child.refresh_from_db()
    assert (child.status, child.data_source) == (Environment.Status.INACTIVE, "")
    assert not live.runtime.keeps_aside(specs.place_of(child))
    activity.refresh_from_db()
    assert Activity.objects.filter(holds__isnull=False, state=State.RUNNING).count() == 0
    assert "Copying data" in log_of(activity)


def test_what_is_asked_of_the_source_waits_until_its_data_is_copied(live: Engine, child: Environment) -> None:
    copying = live.ask(Kind.ACTIVATE, child)
    claimed = state.claim(copying.pk, "copier")
    Activity.objects.filter(pk=copying.pk).update(holds=live.environment)
    waiting = live.ask(Kind.REDEPLOY)
    assert state.claim(waiting.pk, "other") is None
    assert claimed is not None
    state.finish(claimed, State.SUCCEEDED, outcome="Done.")
    assert state.claim(waiting.pk, "other") is not None


def test_a_copy_waits_visibly_for_what_is_at_work_at_its_source(live: Engine, child: Environment) -> None:
    redeploy = state.claim(live.ask(Kind.REDEPLOY).pk, "elsewhere")
    assert redeploy is not None
    copying = live.ask(Kind.ACTIVATE, child, data_from=live.environment.pk)
    Activity.objects.filter(pk=copying.pk).update(cancel_requested_at="2026-01-01T00:00:00Z")
    activity = live.run(copying)
    assert activity.state == State.CANCELLED
    state.finish(redeploy, State.SUCCEEDED, outcome="Done.")
