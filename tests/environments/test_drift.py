from pathlib import Path

import pytest
from django.conf import LazySettings

from environments import drift, repositories
from environments.models import Environment
from portal.paths import Home
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def master(tmp_path: Path, settings: LazySettings) -> Environment:
    """A master and a Staging at the same commit, in a real repository."""
    settings.HOME = Home(tmp_path)
    project = make.ProjectFactory()
    folder = tmp_path / "starter"
    folder.mkdir()
    (folder / "file").write_text("x")
    path = settings.HOME.repository(project.pk)
    repositories.create_from_folder(path, folder, message="First", author="Mara", branches=["master", "staging"])
    head = repositories.head(path, "master") or ""
    staging = make.EnvironmentFactory(project=project, branch="staging", head_commit=head)
    return make.EnvironmentFactory(project=project, branch="master", parent=staging, head_commit=head)


def test_drift_is_counted_in_both_directions_and_not_twice(
    master: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    drift.refresh(master.project)
    master.refresh_from_db()
    assert (master.ahead, master.behind) == (0, 0)
    monkeypatch.setattr(repositories, "count_between", lambda *_: pytest.fail("counted again"))
    drift.refresh(master.project)


def test_a_commit_that_is_gone_leaves_the_count_unknown(master: Environment) -> None:
    Environment.objects.filter(pk=master.pk).update(head_commit="f" * 40)
    drift.refresh(master.project)
    master.refresh_from_db()
    assert master.ahead is None
    assert not drift.stale().filter(pk=master.pk).exists()  # until something moves
