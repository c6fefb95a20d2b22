import os
import time
from pathlib import Path
from typing import Any

from deployments.enums import Kind
from deployments.models import Release
from deployments.pipeline import reconciling, upkeep
from environments import repositories
from tests.deployments.engine import FILES, Engine
from tests.deployments.pipeline.test_reconciling import age


def held(engine: Engine) -> dict[str, str]:
    return dict(repositories.refs(engine.repository, "refs/slipway/releases/"))


def collect(engine: Engine) -> None:
    for arguments in (("reflog", "expire", "--expire=now", "--all"), ("gc", "--quiet", "--prune=now")):
        repositories.plumbing.git(engine.repository, *arguments)


def test_the_commit_of_a_release_outlives_a_force_push_and_a_collection(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    released = Release.objects.get().commit
    for branch in ("master", "staging", "production"):
        engine.commit(FILES | {"serve.py": "print('a new history')\n"}, branch)
    upkeep.hold(engine.project)
    assert held(engine) == {f"{engine.environment.pk}-1": released}
    collect(engine)
    assert repositories.types(engine.repository, [released]) == {released: "commit"}
    Release.objects.all().delete()
    upkeep.hold(engine.project)
    assert held(engine) == {}
    collect(engine)
    assert repositories.types(engine.repository, [released]) == {released: "missing"}


def test_held_commits_are_not_shown_to_those_who_fetch(engine: Engine, tmp_path: Path) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    upkeep.hold(engine.project)
    listing = repositories.plumbing.git(engine.repository, "ls-remote", str(engine.repository)).text
    assert "refs/heads/master" in listing
    assert "refs/slipway" not in listing


def test_a_release_whose_commit_is_lost_keeps_no_other_from_being_held(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    Release.objects.create(environment=engine.environment, number=2, commit="1" * 40)
    upkeep.hold(engine.project)
    assert list(held(engine)) == [f"{engine.environment.pk}-1"]


def test_each_repository_is_looked_after_once_an_hour(engine: Engine, monkeypatch: Any) -> None:
    kept: list[Path] = []
    monkeypatch.setattr(repositories, "housekeeping", kept.append)
    reconciling.reconcile()
    reconciling.reconcile()
    assert kept == [engine.repository]
    age(engine.repository / "slipway-upkeep", 2 * upkeep.EVERY)
    reconciling.reconcile()
    assert kept == [engine.repository] * 2


def test_what_killed_gits_left_is_removed_and_what_works_is_not(engine: Engine) -> None:
    objects, project = engine.repository / "objects", engine.project.pk
    left, receiving = objects / "tmp_objdir-incoming-a", objects / "tmp_objdir-incoming-b"
    half_made, made_now = (engine.repository.with_name(f".{project}.git-{name}") for name in ("a", "b"))
    for folder in (left, receiving, half_made, made_now):
        folder.mkdir()
        (folder / "deploy_key").write_text("secret")
    for path in (left / "deploy_key", left, receiving, half_made):
        age(path)
    assert len(reconciling.reconcile()) == 2
    assert [path.exists() for path in (left, receiving, half_made, made_now)] == [False, True, False, True]


def test_a_creation_at_work_keeps_its_folder(engine: Engine) -> None:
    folder = engine.repository.with_name(f".{engine.project.pk}.git-x")
    folder.mkdir()
    os.utime(folder, (time.time() - 9999,) * 2)
    activity = engine.ask(Kind.PROJECT_CREATE)
    assert list(upkeep.remains()) == []
    activity.delete()
    assert len(list(upkeep.remains())) == 1
