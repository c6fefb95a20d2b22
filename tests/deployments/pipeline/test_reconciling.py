import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from deployments.enums import Kind, State
from deployments.models import Activity, Release
from deployments.pipeline import reconciling, specs
from environments import edge, repositories
from environments.models import Environment, Service
from environments.runtimes.base import Place
from portal.models import Project
from tests.deployments.engine import FILES, Engine
from tests.deployments.pipeline.test_deploy import check_serving
from tests.factories import EnvironmentFactory, ProjectFactory


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
    (build / "closed" / "inner").mkdir(parents=True)
    (build / "closed").chmod(0o000)
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


def test_an_environment_that_was_activated_meanwhile_keeps_its_data(engine: Engine, monkeypatch: Any) -> None:
    """Repairs before it may take minutes: what was read of it at the beginning is not true any more."""
    engine.commit(FILES | {".platform/services.yaml": "db:\n  type: mariadb:10.11\n"})
    engine.environment.head_commit = repositories.head(engine.repository, "master") or ""
    engine.environment.save()
    engine.runtime.place(_orphan(engine))  # so that the reconciler looks at it at all
    meanwhile = engine.runtime.releases

    def releases(place: Place) -> Any:
        monkeypatch.undo()
        assert engine.run(engine.ask(Kind.ACTIVATE)).state == State.SUCCEEDED
        return meanwhile(place)

    monkeypatch.setattr(engine.runtime, "releases", releases)
    reconciling.reconcile()
    assert Service.objects.filter(environment=engine.environment).exists()
    assert engine.runtime.services(specs.place_of(engine.environment)) == ["db"]
    check_serving(engine, Release.objects.get(state=Release.State.LIVE).number)


def test_hosts_are_turned_before_the_release_that_served_is_stopped(engine: Engine) -> None:
    """As after a worker that was lost between putting a release live and turning the hosts to it."""
    engine.run(engine.ask(Kind.ACTIVATE))
    new = _orphan(engine)
    engine.runtime.place(new)
    engine.runtime.start(new)
    Release.objects.filter(number=1).update(state=Release.State.RETIRED)
    Release.objects.filter(number=2).update(state=Release.State.LIVE)
    engine.runtime.hold("stop")
    repair = threading.Thread(target=reconciling.reconcile)
    repair.start()
    try:
        deadline = time.monotonic() + 10
        while engine.served_by() != 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert engine.served_by() == 2
    finally:
        engine.runtime.let_go("stop")
        repair.join()
    check_serving(engine, 2)


def test_what_no_activity_will_end_is_given_back(engine: Engine) -> None:
    project = ProjectFactory(state=Project.State.CREATING)
    Environment.objects.filter(pk=engine.environment.pk).update(status=Environment.Status.DELETING)
    assert len(reconciling.reconcile()) == 2
    engine.environment.refresh_from_db()
    project.refresh_from_db()
    assert engine.environment.status == Environment.Status.INACTIVE
    assert project.state == Project.State.FAILED


def test_programs_and_data_that_belong_to_nothing_are_removed_once_they_have_settled(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    gone = engine.runtime._environment(Place("x", "gone", 987654))
    unasked = engine.runtime._environment(specs.place_of(engine.environment)) / "services" / "old"
    (gone / "releases" / "1").mkdir(parents=True)
    unasked.mkdir(parents=True)
    assert reconciling.reconcile() == []
    for path in (gone, unasked):
        age(path)
    activity = engine.ask(Kind.REDEPLOY)
    Activity.objects.filter(pk=activity.pk).update(state=State.RUNNING)
    assert reconciling.reconcile() == ["The environment 987654 belonged to nothing and is removed"]
    Activity.objects.filter(pk=activity.pk).update(state=State.FAILED)
    assert len(reconciling.reconcile()) == 1
    assert not gone.exists()
    assert not unasked.exists()
    check_serving(engine, 1)


def test_branches_that_never_ran_cost_nothing(engine: Engine, django_assert_max_num_queries: Any) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    with CaptureQueriesContext(connection) as before:
        reconciling.reconcile()
    EnvironmentFactory.create_batch(20, project=engine.project, status=Environment.Status.INACTIVE)
    with django_assert_max_num_queries(len(before)):
        reconciling.reconcile()


def _orphan(engine: Engine) -> Any:
    """The specification of a release that is on its way but belongs to no activity."""
    made = Release.objects.filter(environment=engine.environment).count()
    slugs = Release.objects.first()
    release = Release.objects.create(
        environment=engine.environment,
        number=made + 1,
        commit=engine.environment.head_commit,
        slugs=slugs.slugs if slugs else {"app": f"{engine.project.pk}-app-{'a' * 40}-{'b' * 16}"},
    )
    return specs.release_spec(release)
