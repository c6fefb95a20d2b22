"""F1 for every kind of activity: a worker that dies at the beginning and at the end of each of its steps.

The process that carries the activity out kills itself, really, with SIGKILL; a sweep finds the lost lease, other
processes do what is left, and then everything must be as it should be (I2 to I6, by the doctor).
"""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from deployments.actions import backups, crons, merges, pausing, projects
from deployments.actions import environments as actions
from deployments.enums import Kind, State
from deployments.models import Activity, Backup, Release, Step
from deployments.pipeline import procedures, reconciling, runner, sweeping
from deployments.pipeline.context import Context, Part
from deployments.pipeline.reconciling import leftovers
from environments.models import Environment
from tests.deployments.engine import FILES, Engine
from tests.faults.conftest import check_log

pytestmark = pytest.mark.faults

WITH_SERVICES = FILES | {
    ".platform/services.yaml": "db:\n  type: mariadb:10.11\n",
    ".platform.app.yaml": FILES[".platform.app.yaml"].replace("web:", "relationships:\n    database: 'db:mysql'\nweb:")
    + "    post_deploy: |\n        echo deployed\n"
    + "disk: 128\nmounts: {files: {source: local, source_path: files}}\n"
    + 'crons: {tick: {spec: "0 3 * * *", commands: {start: echo tick}}}\n',
}


def active(engine: Engine) -> Environment:
    """master, with a release that serves."""
    assert engine.run(engine.ask(Kind.ACTIVATE)).state == State.SUCCEEDED
    return engine.environment


def inactive_branch(engine: Engine) -> Environment:
    engine.run(actions.branch(engine.environment, name="feature", by=engine.by))
    return Environment.objects.get(project=engine.project, branch="feature")


def creation(engine: Engine) -> Activity:
    return projects.create_from_starter(by=engine.by, title="Another", starter="python")[1]


def push(engine: Engine) -> Activity:
    active(engine)
    return engine.push(WITH_SERVICES | {"serve.py": "print('changed')\n"})


def merge(engine: Engine) -> Activity:
    """A merge commit into an active master."""
    active(engine)
    child = engine.branch("next")
    engine.add(child, {"new.txt": "new"})
    engine.add(engine.environment, {"other.txt": "other"})
    return merges.merge(child, by=engine.by)


def synchronization(engine: Engine) -> Activity:
    child = engine.branch("next")
    engine.add(child, {"new.txt": "new"})
    engine.add(engine.environment, {"other.txt": "other"})
    return merges.synchronize(child, by=engine.by, how=merges.REBASE)


def paused(engine: Engine) -> Environment:
    assert engine.run(pausing.pause(active(engine), by=engine.by)).state == State.SUCCEEDED
    return engine.environment


def restoration(engine: Engine) -> Activity:
    active(engine)
    assert engine.run(backups.create(engine.environment, by=engine.by)).state == State.SUCCEEDED
    return backups.restore(Backup.objects.get(environment=engine.environment), engine.environment, by=engine.by)


def copy(engine: Engine) -> Activity:
    active(engine)
    activity = actions.activate(engine.branch("next"), by=engine.by)
    assert activity.parameters["data_from"] == engine.environment.pk
    return activity


# How each kind is asked for, in a project that is ready for it.
ASK: dict[str, Callable[[Engine], Activity]] = {
    Kind.PROJECT_CREATE.value: creation,
    Kind.PUSH.value: push,
    Kind.ACTIVATE.value: lambda engine: engine.ask(Kind.ACTIVATE),
    Kind.REDEPLOY.value: lambda engine: actions.redeploy(active(engine), by=engine.by),
    Kind.DEACTIVATE.value: lambda engine: actions.deactivate(active(engine), by=engine.by),
    Kind.BRANCH.value: lambda engine: actions.branch(engine.environment, name="feature", by=engine.by, activate=True),
    Kind.PAUSE.value: lambda engine: pausing.pause(active(engine), by=engine.by),
    Kind.RESUME.value: lambda engine: pausing.resume(paused(engine), by=engine.by),
    Kind.DELETE.value: lambda engine: actions.delete(inactive_branch(engine), by=engine.by),
    Kind.MERGE.value: merge,
    Kind.SYNCHRONIZE.value: synchronization,
    f"{Kind.ACTIVATE} with a copy": copy,
    Kind.BACKUP.value: lambda engine: backups.create(active(engine), by=engine.by),
    Kind.RESTORE.value: restoration,
    Kind.CRON.value: lambda engine: crons.run(active(engine), app="app", cron="tick", by=engine.by),
}


def test_every_kind_is_tried() -> None:
    assert {Kind(name.split()[0]) for name in ASK} == set(procedures._PROCEDURES)


@pytest.fixture
def engines(stored: Path, tmp_path: Path, transactional_db: None) -> Callable[[], Engine]:
    numbers: Iterator[int] = iter(range(1000))

    def make() -> Engine:
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return Engine(folder, WITH_SERVICES)

    return make


@pytest.mark.parametrize("when", ["at its beginning", "at its end"])
@pytest.mark.parametrize("kind", list(ASK))
def test_a_worker_lost_in_any_step_leaves_nothing_half_done(
    engines: Callable[[], Engine], kind: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "_SETTLING", 0.0)
    for number in range(1, 40):
        engine = engines()
        activity = ASK[kind](engine)
        if not _dies(activity, number, when):
            assert number > 1, "it has no step"
            activity.refresh_from_db()
            assert activity.state == State.SUCCEEDED, activity.outcome
            return
        _go_on(activity)
        _check(engine, activity)
    raise AssertionError("it has no end")


def _dies(activity: Activity, number: int, when: str) -> bool:
    """Carry the activity out in another process, which kills itself in that step; False if there is none."""
    connection.close()  # the other process needs one of its own
    pid = os.fork()
    if pid == 0:
        try:
            _deadly(number, when)
            runner.run(activity.pk, "doomed")
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def _deadly(number: int, when: str) -> None:
    usual, seen = runner._run_part, 0

    def run_part(context: Context, part: Part, step: Step) -> None:
        nonlocal seen
        seen += 1

        def run(context: Context) -> str | None:
            note = None if when == "at its beginning" else part.run(context)
            os.kill(os.getpid(), signal.SIGKILL)
            return note

        usual(context, replace(part, run=run) if seen == number else part, step)

    runner._run_part = run_part


def _go_on(activity: Activity) -> None:
    """What others do: find the lost lease, end the activity or take it up, do what waits, look after the rest."""
    Activity.objects.filter(pk=activity.pk, state=State.RUNNING).update(lease_until=Now() - timedelta(seconds=1))
    sweeping.sweep()
    for _ in range(30):
        waiting = Activity.objects.in_turn().order_by("created_at", "sequence").first()
        if waiting is None:
            break
        runner.run(waiting.pk, "another")
    reconciling.reconcile()


def _check(engine: Engine, activity: Activity) -> None:
    activity.refresh_from_db()
    assert not Activity.objects.open().exists()
    assert activity.is_final
    assert activity.outcome
    check_log(activity)
    assert [finding.found for finding in reconciling.examine()] == []
    for environment in Environment.objects.filter(project=engine.project):
        live = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
        assert environment.is_active == (live is not None), f"{environment}: {environment.status}, {live}"
        if live is not None and not environment.is_paused:
            assert engine.served_by(environment) == live.number
        assert not (
            environment.status == Environment.Status.INACTIVE and settings.HOME.sockets(environment.pk).exists()
        )
