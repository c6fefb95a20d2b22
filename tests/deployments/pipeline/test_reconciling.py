import os
import shutil
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from deployments.enums import Kind, State
from deployments.models import Activity, Release
from deployments.pipeline import reconciling, specs
from environments import edge
from environments.models import Environment
from tests.deployments.engine import FILES, Engine
from tests.deployments.pipeline.test_deploy import check_serving


def age(path: Path, seconds: float = 100_000) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def test_nothing_is_touched_when_all_is_well(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    assert reconciling.reconcile(services=True) == []
    check_serving(engine, 1)


def test_a_live_release_that_is_gone_is_started_again(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    place = specs.place_of(engine.environment)
    engine.runtime.stop(place, 1)
    assert reconciling.reconcile() == [f"{engine.environment}: v1 was started again"]
    check_serving(engine, 1)
    assert engine.runtime.healthy(specs.release_spec(Release.objects.get(number=1)))


def test_hosts_are_turned_back_and_strange_ones_removed(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    environment = engine.environment
    elsewhere = settings.HOME.sockets(environment.pk) / "9" / "front.sock"
    elsewhere.parent.mkdir(parents=True)
    edge.switch([environment.host, "old.example.com"], elsewhere)
    shutil.rmtree(elsewhere.parent)
    assert len(reconciling.reconcile()) == 1
    assert engine.served_by() == 1
    assert not (settings.HOME.edge / "old.example.com").is_symlink()


def test_leftovers_are_removed_once_they_have_settled(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    build, sockets = settings.HOME.build("nobody"), settings.HOME.sockets(987654)
    link = settings.HOME.edge / "gone.example.com"
    for folder in (build, sockets):
        folder.mkdir(parents=True)
    link.symlink_to(sockets / "1" / "front.sock")
    assert reconciling.reconcile() == []
    for path in (build, sockets, link):
        age(path)
    assert len(reconciling.reconcile()) == 3
    assert not build.exists()
    assert not sockets.exists()
    assert not link.is_symlink()


def test_an_orphan_release_is_stopped_but_not_while_an_activity_runs(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    release = Release.objects.create(
        environment=engine.environment,
        number=2,
        commit=engine.environment.head_commit,
        slugs=Release.objects.get(number=1).slugs,
    )
    engine.runtime.place(specs.release_spec(release))
    activity = engine.ask(Kind.REDEPLOY)
    Activity.objects.filter(pk=activity.pk).update(state=State.RUNNING)
    assert reconciling.reconcile() == []
    Activity.objects.filter(pk=activity.pk).update(state=State.FAILED)
    assert reconciling.reconcile() == [f"{engine.environment}: what was left of v2 is removed"]
    check_serving(engine, 1)


def test_slugs_that_nobody_uses_are_removed_and_used_ones_kept(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    slugs = settings.HOME.slugs(engine.project.pk)
    (used,) = slugs.iterdir()
    unused = slugs / (used.name[:-1] + "f" if used.name[-1] != "f" else used.name[:-1] + "0")
    shutil.copytree(used, unused)
    (unused / "closed").mkdir()
    (unused / "closed").chmod(0o500)
    for slug in (used, unused):
        age(slug)
    assert len(reconciling.reconcile()) == 1
    assert list(slugs.iterdir()) == [used]


def test_a_push_without_its_activity_gets_one(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    sha = engine.commit(FILES | {"serve.py": "unheard"})
    assert len(reconciling.reconcile()) == 1
    activity = Activity.objects.get(environment=engine.environment, state=State.PENDING)
    assert activity.parameters["commit"] == sha
    assert reconciling.reconcile() == []


def test_one_broken_environment_does_not_keep_the_others_from_being_repaired(engine: Engine, monkeypatch: Any) -> None:
    staging = engine.project.environments.get(branch="staging")
    engine.run(engine.ask(Kind.ACTIVATE, staging))
    engine.run(engine.ask(Kind.ACTIVATE))
    Release.objects.filter(environment=staging).update(commit="f" * 40)
    engine.runtime.stop(specs.place_of(engine.environment), 1)
    assert reconciling.reconcile() == [f"{engine.environment}: v1 was started again"]
    assert Environment.objects.get(pk=staging.pk).is_active
