from pathlib import Path
from typing import Any

import pytest

from deployments.actions import projects
from deployments.enums import Kind, State
from deployments.models import Activity
from environments import starters
from portal.crypto import decrypt
from portal.enums import ProjectRole
from portal.errors import Conflict, Denied, Invalid, Missing
from portal.models import AuditEvent, Project
from tests.factories import ActivityFactory, MembershipFactory, ProjectFactory, UserFactory

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _starters(settings: Any, tmp_path: Path) -> None:
    settings.STARTERS_DIR = tmp_path
    for name, order in (("shop", 2), ("plain", 1)):
        (tmp_path / name / ".slipway").mkdir(parents=True)
        text = f"title: The {name}\ndescription: It is small.\nservices: [redis]\norder: {order}\n"
        (tmp_path / name / ".slipway" / "starter.yaml").write_text(text)
    (tmp_path / "no-starter").mkdir()


def test_starters_come_in_their_order_with_what_they_say_of_themselves() -> None:
    found = starters.starters()
    assert [(each.name, each.title, each.services) for each in found] == [
        ("plain", "The plain", ["redis"]),
        ("shop", "The shop", ["redis"]),
    ]


def test_a_new_project_belongs_to_its_creator_and_has_a_key_of_its_own() -> None:
    by = UserFactory()
    project, activity = projects.create_from_starter(
        by=by, title="  Harbour Coffee ", starter="shop", address="192.0.2.1"
    )
    assert (project.title, project.state, project.source_name) == ("Harbour Coffee", Project.State.CREATING, "shop")
    assert project.memberships.get().role == ProjectRole.OWNER
    assert project.deploy_key_public.startswith("ssh-ed25519 ")
    assert project.deploy_key_public.endswith(f" slipway-{project.pk}")
    assert "PRIVATE" not in project.deploy_key_private
    assert "OPENSSH PRIVATE KEY" in decrypt(project.deploy_key_private)
    assert len(project.entropy) == 56
    assert (activity.kind, activity.environment) == (Kind.PROJECT_CREATE, None)
    assert AuditEvent.objects.get().action == "project.create"


@pytest.mark.parametrize("title", ["", "   ", "x" * 81, "a\x00b", "a\u202eb"])
def test_bad_titles_are_refused_and_nothing_is_written(title: str) -> None:
    with pytest.raises(Invalid) as refusal:
        projects.create_from_starter(by=UserFactory(), title=title, starter="shop")
    assert refusal.value.field == "title"
    assert not Project.objects.exists()


def test_an_unknown_starter_is_missing() -> None:
    for name in ("nothing", "../shop", "no-starter"):
        with pytest.raises(Missing):
            projects.create_from_starter(by=UserFactory(), title="x", starter=name)


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c id", "file:///etc", "/etc", "https://user:password@example.com/x.git", "ssh://-oProxyCommand=x/y", ""],
)
def test_bad_urls_are_refused_and_nothing_is_written(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        projects.create_from_git(by=UserFactory(), title="x", url=url)
    assert refusal.value.field == "url"
    assert not Project.objects.exists()


def test_only_a_failed_creation_is_tried_again_and_only_by_an_admin() -> None:
    project = ProjectFactory(state=Project.State.FAILED)
    by = MembershipFactory(project=project).user
    ActivityFactory(project=project, environment=None, kind=Kind.PROJECT_CREATE, state=State.FAILED, actor=by)
    with pytest.raises(Denied):
        projects.retry_create(project, by=MembershipFactory(project=project, role=ProjectRole.MEMBER).user)
    activity = projects.retry_create(project, by=by)
    assert activity.state == State.PENDING
    with pytest.raises(Conflict):
        projects.retry_create(project, by=by)
    assert Activity.objects.count() == 2
