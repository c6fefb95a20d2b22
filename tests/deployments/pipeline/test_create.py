from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings

from deployments.actions import activities, projects, retries
from deployments.enums import Fault, Kind, State
from deployments.models import Activity
from deployments.pipeline import create, runner
from environments import imports, repositories
from environments.process import Watch
from portal.models import Project
from portal.paths import Home
from tests.deployments.engine import APP, log_of
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _starters(fake_home: Home, settings: Any, tmp_path: Path) -> None:
    settings.STARTERS_DIR = tmp_path / "starters"
    shop = settings.STARTERS_DIR / "shop"
    (shop / ".slipway").mkdir(parents=True)
    (shop / ".slipway" / "starter.yaml").write_text("title: Shop\ndescription: Sells.\nservices: [redis]\n")
    (shop / ".platform.app.yaml").write_text(APP)


def run(activity: Activity) -> Activity:
    runner.run(activity.pk, "here")
    activity.refresh_from_db()
    return activity


def test_a_project_from_a_starter_gets_its_tree_and_integration_is_activated() -> None:
    by = UserFactory()
    project, activity = projects.create_from_starter(by=by, title="My shop", starter="shop")
    assert run(activity).state == State.SUCCEEDED, activity.outcome
    project.refresh_from_db()
    assert project.state == Project.State.READY
    production, staging, master = project.environments.order_by("pk")
    assert [(each.branch, each.type) for each in (production, staging, master)] == list(create.TREE)
    assert (production.parent, staging.parent, master.parent) == (None, production, staging)
    head = repositories.head(django_settings.HOME.repository(project.pk), "master")
    assert {each.head_commit for each in (production, staging, master)} == {head}
    follow = Activity.objects.get(kind=Kind.ACTIVATE)
    assert (follow.environment, follow.actor) == (master, by)
    assert run(follow).state == State.SUCCEEDED, follow.outcome
    master.refresh_from_db()
    assert master.is_active


def test_a_lost_creation_is_done_again_from_the_start() -> None:
    project, activity = projects.create_from_starter(by=UserFactory(), title="My shop", starter="shop")
    Activity.objects.filter(pk=activity.pk).update(state=State.RUNNING, lease_until="2020-01-01T00:00:00Z", attempts=1)
    activity.steps.create(position=1, name="repository", title="Prepare the repository", state="running")
    from deployments.pipeline import sweeping

    sweeping.sweep()
    assert run(activity).state == State.SUCCEEDED
    assert project.environments.count() == 3


def imported(monkeypatch: pytest.MonkeyPatch, work: Any) -> None:
    monkeypatch.setattr(imports, "import_remote", work)


def test_a_project_from_a_url_gets_an_environment_for_each_branch(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def fetch(url: str, path: Path, *, watch: Watch, **_: Any) -> imports.Imported:
        watch.output(b"Receiving objects: 50%\rReceiving objects: 100%\n")
        branches = ("master", "staging", "production", "feature/one", "Feature/ONE")
        commit = repositories.create_from_folder(
            path, settings.STARTERS_DIR / "shop", message="x", author="y", branches=branches
        )
        return imports.Imported(commit, list(branches), ["The tag v1 was left out."])

    imported(monkeypatch, fetch)
    project, activity = projects.create_from_git(by=UserFactory(), title="Far", url="https://example.com/far.git")
    assert run(activity).state == State.SUCCEEDED, activity.outcome
    assert project.environments.filter(name="feature-one").count() == 1
    assert project.environments.get(name="feature-one").parent == project.environments.get(branch="master")
    text = log_of(activity)
    assert "Receiving objects: 100%" in text
    assert "The tag v1 was left out." in text
    assert "has that name already" in text  # two branches that differ by case alone


def test_a_failed_clone_leaves_the_project_failed_and_can_be_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise imports.ImportFailed("The host does not answer.", field="url")

    imported(monkeypatch, refuse)
    by = UserFactory()
    project, activity = projects.create_from_git(by=by, title="Far", url="https://example.com/far.git")
    assert run(activity).state == State.FAILED
    assert (activity.fault, activity.outcome) == (Fault.USER, "The host does not answer.")
    project.refresh_from_db()
    assert project.state == Project.State.FAILED
    again = retries.retry(activity, by=by)
    assert again.retry_of == activity
    project.refresh_from_db()
    assert project.state == Project.State.CREATING


def test_cancelling_a_creation_that_has_not_begun_leaves_the_project_failed() -> None:
    by = UserFactory()
    project, activity = projects.create_from_starter(by=by, title="My shop", starter="shop")
    activities.cancel(activity, by=by)
    project.refresh_from_db()
    assert project.state == Project.State.FAILED


def test_cancelling_a_creation_that_lost_its_worker_does_not_undo_what_is_made() -> None:
    """A project that is there must not become one that can be made anew: that would replace its repository."""
    by = UserFactory()
    project, activity = projects.create_from_starter(by=by, title="My shop", starter="shop")
    assert run(activity).state == State.SUCCEEDED
    Activity.objects.filter(pk=activity.pk).update(state=State.PENDING, finished_at=None)
    activity.refresh_from_db()
    activities.cancel(activity, by=by)
    project.refresh_from_db()
    assert project.state == Project.State.READY


def test_the_deploy_key_never_reaches_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def show(url: str, path: Path, *, watch: Watch, private_key: str, **_: Any) -> None:
        watch.output(private_key.encode() + b"\n")
        raise imports.ImportFailed("No.", field="url")

    imported(monkeypatch, show)
    _, activity = projects.create_from_git(by=UserFactory(), title="Far", url="git@example.com:far.git")
    run(activity)
    assert "[secret]" in log_of(activity)
    assert "b3BlbnNzaC1rZXk" not in log_of(activity)
