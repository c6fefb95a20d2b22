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


# -- restores ---------------------------------------------------------------------------------------------------------


def restore(engine: Engine, backup: Backup, target: Environment | None = None, **options: Any) -> Activity:
    target = target or engine.environment
    return engine.run(actions.restore(backup, target, by=engine.by, **options))


def test_a_restore_brings_data_and_release_back_with_a_backup_of_what_was_there(live: Engine) -> None:
    backup = take(live)
    live.run(live.push(SERVICES | {"serve.py": "changed"}))
    write(live, live.environment, "second")
    activity = restore(live, backup)
    assert activity.state == State.SUCCEEDED, log_of(activity)
    assert read(live, live.environment) == {"first"}
    assert live.served_by() == 3
    release = live.environment.releases.get(state="live")
    assert release.commit == backup.commit
    assert live.environment.head_commit != backup.commit
    titles = [title for title, _ in steps_of(activity)]
    assert titles[0] == "Check the backup"
    assert titles.index("Back up what is there now") < titles.index("Fetch the data") < titles.index("Provide services")
    assert titles[-1] == "Remove the data it replaced"
    safety = Backup.objects.get(reason="safety")
    assert safety.state == "stored"
    assert not live.runtime.keeps_aside(specs.place_of(live.environment))
    assert live.environment.data_source == "Backup"
    assert live.environment.data_at == backup.at
    assert "Restored" in activity.outcome
    assert restore(live, safety).state == State.SUCCEEDED
    assert read(live, live.environment) == {"second"}


@pytest.mark.parametrize("verb", ["take_in", "provision", "start", "probe"])
def test_a_failed_restore_leaves_the_old_data_serving(live: Engine, verb: str) -> None:
    backup = take(live)
    write(live, live.environment, "second")
    live.runtime.fail(verb)
    activity = live.run(actions.restore(backup, live.environment, by=live.by))
    live.runtime.let_go(verb)
    assert activity.state == State.FAILED
    if verb == "provision":  # what could not be put back at once is put back by the reconciler
        from deployments.pipeline import reconciling

        reconciling.reconcile()
    assert read(live, live.environment) == {"second"}
    assert live.served_by() == 1
    assert not live.runtime.keeps_aside(specs.place_of(live.environment))


@pytest.mark.parametrize("harm", ["truncated", "altered", "gone", "manifest", "foreign"])
def test_a_damaged_or_foreign_backup_is_refused_before_anything_is_touched(
    live: Engine, stored: Path, harm: str
) -> None:
    backup = take(live)
    write(live, live.environment, "second")
    folder = stored / live.project.pk / backup.pk
    part, manifest = folder / "part-01.tar.zst", folder / "manifest.json"
    if harm == "truncated":
        part.write_bytes(part.read_bytes()[:-1])
    elif harm == "altered":
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.write_bytes(bytes(data))
    elif harm == "gone":
        part.unlink()
    elif harm == "manifest":
        manifest.write_text(manifest.read_text().replace("app-app", "app-bpp"))
    else:
        other = take(live)
        manifest.write_bytes((stored / live.project.pk / other.pk / "manifest.json").read_bytes())
    activity = restore(live, backup)
    assert (activity.state, activity.error_id) == (State.FAILED, "backup-damaged")
    assert activity.steps.get(name="verify").state == StepState.FAILED
    assert read(live, live.environment) == {"second"}
    assert not Backup.objects.filter(reason="safety").exists()
    assert not any(entry["verb"] == "take_in" for entry in live.runtime.journal())


def test_a_backup_is_restored_into_another_environment_with_its_release_or_only_its_data(
    live: Engine, child: Environment
) -> None:
    backup = take(live)
    activity = restore(live, backup, child)
    assert activity.state == State.SUCCEEDED, activity.outcome
    child.refresh_from_db()
    assert child.is_active
    assert read(live, child) == {"first"}
    assert child.data_source == f"Backup of {live.environment.title}"
    again = restore(live, backup, child, code=False)
    assert again.parameters["commit"] == child.head_commit


def test_data_never_goes_up_and_nothing_leaves_production(live: Engine, child: Environment) -> None:
    backup = take(live)
    environments = {each.branch: each for each in live.project.environments.all()}
    for branch in ("staging", "production"):
        with pytest.raises(Conflict, match="never up"):
            actions.restore(backup, environments[branch], by=live.by)
    Backup.objects.filter(pk=backup.pk).update(environment=child)
    backup.refresh_from_db()
    with pytest.raises(Conflict, match="only comes down"):
        actions.restore(backup, live.environment, by=live.by)
    Backup.objects.filter(pk=backup.pk).update(environment=environments["production"], environment_type="production")
    backup.refresh_from_db()
    for target in (environments["staging"], live.environment, child):
        with pytest.raises(Conflict, match="Nothing unmasked leaves Production"):
            actions.restore(backup, target, by=live.by)


def test_two_people_restore_at_once_and_one_is_told(live: Engine) -> None:
    backup = take(live)
    first = actions.restore(backup, live.environment, by=live.by)
    with pytest.raises(Conflict, match="being restored already"):
        actions.restore(backup, live.environment, by=live.by)
    with pytest.raises(Conflict, match="being restored"):
        actions.delete(backup, by=live.by)
    assert live.run(first).state == State.SUCCEEDED


def test_a_restore_during_a_deploy_waits_for_it(live: Engine) -> None:
    backup = take(live)
    deploy = live.ask(Kind.REDEPLOY)
    asked = actions.restore(backup, live.environment, by=live.by)
    assert state.claim(asked.pk, "eager") is None
    assert live.run(deploy).state == State.SUCCEEDED
    assert live.run(asked).state == State.SUCCEEDED


@pytest.mark.parametrize("step", ["verify", "safety", "fetch", "services", "start"])
def test_a_worker_lost_in_a_restore_leaves_the_old_data_serving(live: Engine, step: str) -> None:
    backup = take(live)
    write(live, live.environment, "second")
    activity = actions.restore(backup, live.environment, by=live.by)
    place = specs.place_of(live.environment)
    if step in ("services", "start"):  # the restored data is in place already
        incoming = live.runtime.incoming(place) / "services" / "cache"
        incoming.mkdir(parents=True)
        (incoming / "keys").write_text("restored")
        live.runtime.take_in(place, list(specs.service_specs(live.environment).values()))
    _lose(activity, (step, StepState.RUNNING))
    sweeping.sweep()
    activity.refresh_from_db()
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost")
    assert read(live, live.environment) == {"second"}
    assert not live.runtime.keeps_aside(place)
    assert Backup.objects.get() == backup


# -- what is done by itself -------------------------------------------------------------------------------------------


def test_production_is_backed_up_every_six_hours_and_others_when_asked(live: Engine) -> None:
    from deployments.pipeline import backup_rounds

    production = live.project.environments.get(branch="production")
    Environment.objects.filter(pk=production.pk).update(status=Environment.Status.ACTIVE)
    for _ in range(2):
        backup_rounds.make_due()
    (asked,) = Activity.objects.filter(kind=Kind.BACKUP)
    assert asked.environment == production
    assert asked.parameters["reason"] == "scheduled"
    actions.plan(live.project, live.environment, by=live.by, every_hours=1)
    backup_rounds.make_due()
    assert Activity.objects.filter(kind=Kind.BACKUP, environment=live.environment).count() == 1
    assert backup_rounds.alarms([live.environment]) == {}


def test_backups_are_thinned_to_days_weeks_and_months_but_never_the_last_proven_one() -> None:
    from datetime import datetime, timedelta

    from django.utils import timezone

    from deployments.pipeline.backup_rounds import Plan, kept

    now = timezone.make_aware(datetime(2026, 6, 30, 12))
    backups = [Backup(pk=f"b{hours:05}", created_at=now - timedelta(hours=hours)) for hours in range(0, 24 * 200, 6)]
    keep = kept(backups, Plan(6, latest=8, daily=7, weekly=4, monthly=6))
    ages = sorted(int(pk[1:]) for pk in keep)
    assert ages[:8] == [0, 6, 12, 18, 24, 30, 36, 42]
    assert len(ages) < 8 + 7 + 4 + 6
    assert max(ages) > 24 * 120


def test_a_backup_that_lost_a_file_is_loud_and_one_that_is_removed_leaves_nothing(live: Engine, stored: Path) -> None:
    from deployments.pipeline import backup_rounds, reconciling

    backup = take(live)
    backup_rounds.look()
    assert backup_rounds.alarms([live.environment]) == {}
    (stored / live.project.pk / backup.pk / "part-02.tar.zst").unlink()
    backup_rounds.look()
    assert "cannot be relied on" in backup_rounds.alarms([live.environment])[live.environment.pk]
    assert any("cannot be relied on" in found.found for found in reconciling.examine())
    with pytest.raises(Conflict, match="missing"):
        actions.restore(backup, live.environment, by=live.by)
    actions.pin(backup, pinned=True, by=live.by)
    backup.refresh_from_db()
    with pytest.raises(Conflict, match="kept"):
        actions.delete(backup, by=live.by)
    actions.pin(backup, pinned=False, by=live.by)
    backup.refresh_from_db()
    actions.delete(backup, by=live.by)
    backup_rounds.remove()
    assert not Backup.objects.exists()
    assert store.all_ids() == []


def test_backups_of_an_environment_go_with_it(live: Engine, child: Environment) -> None:
    backup = take(live)
    Backup.objects.filter(pk=backup.pk).update(environment=child)
    activity = live.ask(Kind.DELETE, child, branch=child.branch, title=child.title, name=child.name)
    assert live.run(activity).state == State.SUCCEEDED
    assert not Backup.objects.exists()
    assert store.all_ids() == []
