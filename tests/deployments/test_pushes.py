"""What a push may be and what is recorded of it, without SSH: real repositories, refs moved by hand."""

import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.db import connection
from django.utils import timezone

from deployments.actions import push_check, pushes
from deployments.actions.pushes import PushRefused, RefUpdate
from deployments.enums import Kind, State
from deployments.models import Activity, Push
from environments import repositories
from environments.models import Environment
from environments.repositories import ZERO
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.models import AuditEvent, Project, User
from portal.paths import Home
from tests import factories
from tests.deployments.git_server import APP, make_repository

pytestmark = pytest.mark.django_db
INTEGRATION, STAGING, PRODUCTION = EnvironmentType.INTEGRATION, EnvironmentType.STAGING, EnvironmentType.PRODUCTION


@pytest.fixture(autouse=True)
def home(tmp_path: Path, settings: object) -> Home:
    home = Home(tmp_path / "home")
    settings.HOME = home  # type: ignore[attr-defined]
    return home


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    has = SimpleNamespace(languages=lambda: {"python": ["3.11"]}, engines=lambda: {"mariadb": ["10.11"]})
    monkeypatch.setattr(push_check.runtimes, "get", lambda: has)


@pytest.fixture
def project(tmp_path: Path, home: Home) -> Project:
    project = factories.ProjectFactory()
    commit = make_repository(home.repository(project.pk), tmp_path / "starter")
    for environment in factories.tree(project).values():
        environment.head_commit = commit
        environment.save()
    return project


@pytest.fixture
def path(project: Project, home: Home) -> Path:
    return home.repository(project.pk)


@pytest.fixture
def owner(project: Project) -> User:
    return factories.MembershipFactory(project=project, role=ProjectRole.OWNER).user


@pytest.fixture
def contributor(project: Project) -> User:
    return factories.member(
        project,
        integration=EnvironmentRole.CONTRIBUTOR,
        staging=EnvironmentRole.CONTRIBUTOR,
        production=EnvironmentRole.VIEWER,
    )


@pytest.fixture
def start(path: Path) -> str:
    found = repositories.head(path, "master")
    assert found is not None
    return found


def git(path: Path, *arguments: str, input: bytes = b"") -> str:
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    argv = ["git", *who, "--git-dir", str(path), *arguments]
    return subprocess.run(argv, input=input, capture_output=True, check=True).stdout.decode().strip()


def commit(path: Path, parent: str | None, files: dict[str, str], message: str = "Next") -> str:
    """A commit with exactly these files (at the root)."""
    blobs = {name: git(path, "hash-object", "-w", "--stdin", input=text.encode()) for name, text in files.items()}
    tree = git(path, "mktree", input="".join(f"100644 blob {sha}\t{name}\n" for name, sha in blobs.items()).encode())
    return git(path, "commit-tree", tree, "-m", message, *(["-p", parent] if parent else []))


def fine(path: Path, parent: str | None, text: str = "x") -> str:
    return commit(path, parent, {".platform.app.yaml": APP, "README": text})


def branch(name: str, old: str = ZERO, new: str = ZERO) -> RefUpdate:
    return RefUpdate(f"refs/heads/{name}", old, new)


def refused(project: Project, by: User, *updates: RefUpdate, options: Sequence[str] = ()) -> str:
    with pytest.raises(PushRefused) as caught:
        pushes.propose(project, by=by, updates=updates, options=options)
    assert not Push.objects.exists()
    assert AuditEvent.objects.filter(action="push.refuse", outcome="refused").exists()
    return "\n".join(caught.value.lines)


def push(project: Project, by: User, *updates: RefUpdate, options: Sequence[str] = ()) -> list[Activity]:
    """Let in, refs moved as Git would, recorded."""
    proposal = pushes.propose(project, by=by, updates=updates, options=options)
    move(project, *updates)
    return pushes.record(proposal.push, [update.ref for update in updates])


def move(project: Project, *updates: RefUpdate) -> None:
    from django.conf import settings

    path = settings.HOME.repository(project.pk)
    for update in updates:
        git(path, "update-ref", *(["-d", update.ref] if update.new == ZERO else [update.ref, update.new]))


# Who may


def test_pushes_by_role(project: Project, path: Path, start: str, contributor: User, owner: User) -> None:
    new = fine(path, start)
    assert push(project, contributor, branch("master", start, new))
    assert "needs the role admin on staging" in refused_later(project, contributor, branch("staging", start, new))
    assert "needs the role contributor on production" in refused_later(
        project, contributor, branch("production", start, new)
    )
    assert len(push(project, owner, branch("staging", start, new), branch("production", start, new))) == 2


def refused_later(project: Project, by: User, *updates: RefUpdate) -> str:
    with pytest.raises(PushRefused) as caught:
        pushes.propose(project, by=by, updates=updates)
    return "\n".join(caught.value.lines)


def test_a_viewer_can_neither_push_nor_branch(project: Project, path: Path, start: str) -> None:
    viewer = factories.member(project, integration=EnvironmentRole.VIEWER)
    said = refused(project, viewer, branch("master", start, fine(path, start)), branch("mine", ZERO, start))
    assert said.count("needs the role contributor") == 2


def test_a_role_on_one_environment_counts(project: Project, path: Path, start: str) -> None:
    guest = factories.member(project, integration=EnvironmentRole.NONE)
    other = factories.EnvironmentFactory(project=project, branch="theirs", head_commit=start)
    factories.EnvironmentAccessFactory(environment=other, user=guest, role=EnvironmentRole.CONTRIBUTOR)
    git(path, "update-ref", "refs/heads/theirs", start)
    new = fine(path, start)
    assert "no access to it" in refused(project, guest, branch("master", start, new))
    assert push(project, guest, branch("theirs", start, new))


def test_a_force_push_needs_environment_admin(project: Project, path: Path, contributor: User, owner: User) -> None:
    start = str(repositories.head(path, "master"))
    other = fine(path, None)
    assert "force push" in refused(project, contributor, branch("master", start, other))
    assert push(project, owner, branch("master", start, other))


# Names and refs


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=x", "HEAD", "a..b", "a\nb", "x" * 300, ";id", "$(id)", "../../x", "a\u202eb", "-oProxyCommand=id"],
)
def test_bad_branch_names_are_refused(project: Project, start: str, owner: User, name: str) -> None:
    said = refused(project, owner, branch(name, ZERO, start))
    assert "cannot be a branch name" in said
    assert "\u202e" not in said


def test_a_name_that_would_be_anothers_environment_is_refused(project: Project, start: str, owner: User) -> None:
    assert "as that of master is" in refused(project, owner, branch("Master", ZERO, start))
    said = refused(project, owner, branch("a/b", ZERO, start), branch("A-B", ZERO, start))
    assert "would be called a-b, as that of a/b is" in said


@pytest.mark.parametrize("ref", ["refs/for/x", "refs/slipway/x", "HEAD", "refs/notes/commits", "refs/head/x"])
def test_only_branches_and_tags_are_taken(project: Project, start: str, owner: User, ref: str) -> None:
    assert "only branches and tags" in refused(project, owner, RefUpdate(ref, ZERO, start))


def test_tags_make_no_activity_and_moving_one_needs_an_admin(
    project: Project, path: Path, start: str, contributor: User
) -> None:
    assert push(project, contributor, RefUpdate("refs/tags/v1", ZERO, start)) == []
    assert "admin" in refused_later(project, contributor, RefUpdate("refs/tags/v1", start, fine(path, start)))


@pytest.mark.parametrize("kind", ["tree", "blob", "missing"])
def test_a_branch_can_only_point_at_a_commit(project: Project, path: Path, start: str, owner: User, kind: str) -> None:
    target = {
        "tree": git(path, "rev-parse", f"{start}^{{tree}}"),
        "blob": git(path, "rev-parse", f"{start}:README"),
        "missing": "1" * 40,
    }[kind]
    assert "can only point at a commit" in refused(project, owner, branch("new", ZERO, target))


# Configuration


def test_a_broken_configuration_names_file_line_and_key(project: Project, path: Path, start: str, owner: User) -> None:
    new = commit(path, start, {".platform.app.yaml": APP + "crons:\n  nightly:\n    spec: 'never'\n"})
    said = refused(project, owner, branch("master", start, new))
    assert "master: the configuration cannot be used." in said
    assert ".platform.app.yaml:8" in said
    assert "crons.nightly.spec" in said


def test_all_reasons_are_told_at_once(project: Project, path: Path, start: str, owner: User) -> None:
    broken = commit(path, start, {".platform.app.yaml": "name: [\n"})
    said = refused(
        project, owner, branch("one", ZERO, broken), branch("two", ZERO, fine(path, None)), branch("x", ZERO, start)
    )
    assert "one: the configuration" in said
    assert "two" not in said


def test_a_service_that_the_host_lacks_is_refused_with_those_it_has(
    project: Project, path: Path, start: str, owner: User
) -> None:
    folder = git(path, "hash-object", "-w", "--stdin", input=b"search:\n  type: opensearch:2\n  disk: 256\n")
    inner = git(path, "mktree", input=f"100644 blob {folder}\tservices.yaml\n".encode())
    app = git(path, "hash-object", "-w", "--stdin", input=APP.encode())
    tree = git(
        path, "mktree", input=f"100644 blob {app}\t.platform.app.yaml\n040000 tree {inner}\t.platform\n".encode()
    )
    new = git(path, "commit-tree", tree, "-m", "Search", "-p", start)
    said = refused(project, owner, branch("master", start, new))
    assert ".platform/services.yaml:2" in said
    assert "mariadb" in said


def test_a_head_without_configuration_is_taken_for_an_inactive_environment_only(
    project: Project, path: Path, start: str, owner: User
) -> None:
    bare = commit(path, start, {"README": "x"})
    assert "says what to run" in refused(project, owner, branch("master", start, bare))
    proposal = pushes.propose(project, by=owner, updates=[branch("new", ZERO, bare)])
    assert "cannot be activated without one" in "\n".join(proposal.notes)
    pushes.withdraw(proposal.push.pk)
    said = refused(project, owner, branch("new", ZERO, bare), options=["environment.status=active"])
    assert "says what to run" in said


@pytest.mark.parametrize("text", ['[submodule "x"]\n\tpath = "a\r"\n', "[submodule\0"])
def test_control_characters_in_gitmodules_are_refused(
    project: Project, path: Path, start: str, owner: User, text: str
) -> None:
    new = commit(path, start, {".platform.app.yaml": APP, ".gitmodules": text})
    assert ".gitmodules holds a control character" in refused(project, owner, branch("master", start, new))


# New environments and options


def test_a_new_branch_is_an_inactive_environment_below_the_default_branch(
    project: Project, path: Path, start: str, contributor: User
) -> None:
    new = fine(path, start)
    (activity,) = push(project, contributor, branch("Feature/X", ZERO, new))
    environment = Environment.objects.get(branch="Feature/X")
    assert (environment.name, environment.status, environment.type) == ("feature-x", "inactive", INTEGRATION)
    assert environment.parent == Environment.objects.get(branch="master")
    assert environment.access.get(user=contributor).role == EnvironmentRole.ADMIN
    assert environment.head_commit == new
    assert (activity.kind, activity.environment, activity.actor) == (Kind.PUSH, environment, contributor)
    assert [each["sha"] for each in activity.parameters["commits"]] == [new]


def test_options_place_and_activate_the_new_environment(project: Project, start: str, owner: User) -> None:
    options = [
        "environment.status=active",
        "environment.title=A title",
        "environment.parent=STAGING",
        "deploy.strategy=rolling",
    ]
    (activity,) = push(project, owner, branch("new", ZERO, start), options=options)
    environment = Environment.objects.get(branch="new")
    assert environment.parent is not None
    assert (environment.title, environment.parent.branch, activity.kind) == ("A title", "staging", Kind.ACTIVATE)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("environment.type=production", "one Production"),
        ("environment.type=huge", "Allowed: development, staging"),
        ("environment.status=on", "Allowed: active, inactive"),
        ("environment.parent=nowhere", "no environment"),
        ("environment.parent=--x", "no environment"),
        ("environment.title=a\x1b[31mb", "cannot be seen"),
        ("environment.title=" + "x" * 300, "300 characters"),
    ],
)
def test_options_that_cannot_be_are_refused(
    project: Project, start: str, owner: User, option: str, reason: str
) -> None:
    assert reason in refused(project, owner, branch("new", ZERO, start), options=[option])


def test_unknown_options_are_a_warning(project: Project, start: str, owner: User) -> None:
    proposal = pushes.propose(project, by=owner, updates=[branch("new", ZERO, start)], options=["a\x1b=b", "ci.skip"])
    assert [note for note in proposal.notes if "is not known" in note]
    assert "\x1b" not in "\n".join(proposal.notes)


def test_staging_can_only_be_added_by_a_project_admin(
    project: Project, start: str, contributor: User, owner: User
) -> None:
    options = ["environment.type=staging"]
    assert "project role" in refused(project, contributor, branch("stage2", ZERO, start), options=options)
    push(project, owner, branch("stage2", ZERO, start), options=options)
    assert Environment.objects.get(branch="stage2").type == STAGING


def test_at_the_limit_activation_is_refused_with_who_uses_it(project: Project, start: str, owner: User) -> None:
    Project.objects.update(max_active_integration=1)
    project.refresh_from_db()
    said = refused(project, owner, branch("new", ZERO, start), options=["environment.status=active"])
    assert "which is its limit" in said
    assert "master" in said


def test_an_inactive_environment_is_activated_by_its_admin_only(
    project: Project, path: Path, start: str, owner: User, contributor: User
) -> None:
    push(project, owner, branch("new", ZERO, start))
    Activity.objects.update(state=State.SUCCEEDED)
    Push.objects.all().delete()
    update = branch("new", start, fine(path, start))
    said = refused(project, contributor, update, options=["environment.status=active"])
    assert "needs the role admin" in said
    (activity,) = push(project, owner, update, options=["environment.status=active"])
    assert activity.kind == Kind.ACTIVATE


# Deleting


def test_only_an_inactive_environment_without_children_is_deleted(project: Project, start: str, owner: User) -> None:
    push(project, owner, branch("parent", ZERO, start))
    push(project, owner, branch("child", ZERO, start), options=["environment.parent=parent"])
    Activity.objects.update(state=State.SUCCEEDED)
    assert "has children: child" in refused_later(project, owner, branch("parent", start))
    Environment.objects.filter(branch="child").update(status=Environment.Status.ACTIVE)
    assert "is active" in refused_later(project, owner, branch("child", start))
    Environment.objects.filter(branch="child").update(status=Environment.Status.INACTIVE)
    assert push(project, owner, branch("child", start)) == []
    assert push(project, owner, branch("parent", start)) == []
    assert set(Environment.objects.values_list("branch", flat=True)) == {"master", "staging", "production"}
    assert AuditEvent.objects.filter(action="environment.delete").count() == 2


@pytest.mark.parametrize("name", ["master", "staging", "production"])
def test_the_branches_of_every_project_stay(project: Project, start: str, owner: User, name: str) -> None:
    Environment.objects.update(status=Environment.Status.INACTIVE)
    assert "cannot be deleted" in refused(project, owner, branch(name, start))


def test_a_branch_whose_environment_came_alive_meanwhile_is_put_back(
    project: Project, path: Path, start: str, owner: User
) -> None:
    push(project, owner, branch("new", ZERO, start))
    Activity.objects.update(state=State.SUCCEEDED)
    proposal = pushes.propose(project, by=owner, updates=[branch("new", start)])
    Environment.objects.filter(branch="new").update(status=Environment.Status.ACTIVE)
    move(project, branch("new", start))
    pushes.record(proposal.push, ["refs/heads/new"])
    assert Environment.objects.filter(branch="new").exists()
    assert repositories.head(path, "new") == start


# Recording and reconciling


def test_recording_twice_is_recording_once(project: Project, path: Path, start: str, owner: User) -> None:
    update = branch("master", start, fine(path, start))
    proposal = pushes.propose(project, by=owner, updates=[update])
    move(project, update)
    first = pushes.record(proposal.push, [update.ref])
    assert pushes.record(proposal.push) == first == pushes.record(proposal.push.pk, [update.ref])
    assert Activity.objects.count() == 1


def test_only_refs_that_moved_are_recorded(project: Project, path: Path, start: str, owner: User) -> None:
    updates = [branch("master", start, fine(path, start)), branch("new", ZERO, fine(path, start, "y"))]
    proposal = pushes.propose(project, by=owner, updates=updates)
    move(project, updates[1])
    (activity,) = pushes.record(proposal.push)
    assert activity.environment == Environment.objects.get(branch="new")


def test_a_push_whose_process_died_is_recorded_later(project: Project, path: Path, start: str, owner: User) -> None:
    update = branch("master", start, fine(path, start))
    pushes.propose(project, by=owner, updates=[update])
    move(project, update)
    assert pushes.reconcile_refs(project) == []  # it may be on its way still
    Push.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    (activity,) = pushes.reconcile_refs(project)
    assert (activity.actor, activity.parameters["commit"]) == (owner, update.new)
    assert pushes.reconcile_refs(project) == []


def test_a_push_that_never_moved_its_ref_leaves_nothing(project: Project, path: Path, start: str, owner: User) -> None:
    pushes.propose(project, by=owner, updates=[branch("master", start, fine(path, start))])
    Push.objects.update(created_at=timezone.now() - timedelta(minutes=5))
    assert pushes.reconcile_refs(project) == []
    assert not Activity.objects.exists()


def test_heads_that_nobody_recorded_get_their_activity(project: Project, path: Path, start: str) -> None:
    new = fine(path, start)
    move(project, branch("master", start, new), branch("found", ZERO, new))
    (activity,) = pushes.reconcile_refs(project)
    assert (activity.actor, activity.parameters["commit"], activity.parameters["previous"]) == (None, new, start)
    assert Environment.objects.get(branch="found").status == Environment.Status.INACTIVE
    assert pushes.reconcile_refs(project) == []


def test_an_accepted_push_is_recorded_although_the_pusher_lost_the_role(
    project: Project, path: Path, start: str, contributor: User
) -> None:
    update = branch("mine", ZERO, fine(path, start))
    proposal = pushes.propose(project, by=contributor, updates=[update], options=["environment.status=active"])
    move(project, update)
    contributor.memberships.all().delete()
    (activity,) = pushes.record(proposal.push, [update.ref])
    assert activity.kind == Kind.PUSH


def test_the_whole_set_of_two_branches_stands_or_falls(project: Project, path: Path, start: str, owner: User) -> None:
    good, bad = branch("good", ZERO, fine(path, start)), branch("a..b", ZERO, start)
    said = refused(project, owner, good, bad)
    assert "good" not in said
    assert not Environment.objects.filter(branch="good").exists()


# What happens at the same time


def test_git_is_not_asked_while_others_wait_to_write(
    project: Project, path: Path, start: str, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, depth = repositories.commits, len(connection.savepoint_ids)

    def commits(*arguments: object) -> object:
        assert len(connection.savepoint_ids) == depth
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(repositories, "commits", commits)
    names = [f"branch-{number}" for number in range(5)]
    made = push(
        project, owner, branch("master", start, fine(path, start)), *(branch(name, ZERO, start) for name in names)
    )
    assert len(made) == 6


def test_a_branch_whose_name_was_taken_meanwhile_is_recorded_without_an_environment(
    project: Project, start: str, owner: User
) -> None:
    updates = [branch("Feature", ZERO, start), branch("other", ZERO, start)]
    proposal = pushes.propose(project, by=owner, updates=updates)
    factories.EnvironmentFactory(project=project, branch="feature", name="feature", type=INTEGRATION)
    move(project, *updates)
    assert [each.environment.branch for each in pushes.record(proposal.push) if each.environment] == ["other"]
    assert AuditEvent.objects.filter(action="environment.create", outcome="refused", target="Feature").exists()
    assert pushes.reconcile_refs(project) == []


def test_nothing_is_put_below_an_environment_that_is_being_deleted(project: Project, start: str, owner: User) -> None:
    parent = factories.EnvironmentFactory(project=project, branch="old", name="old", type=INTEGRATION)
    update, options = branch("new", ZERO, start), ["environment.parent=old"]
    proposal = pushes.propose(project, by=owner, updates=[update], options=options)
    Environment.objects.filter(pk=parent.pk).update(status=Environment.Status.DELETING)
    with pytest.raises(PushRefused, match="is being deleted"):
        pushes.propose(project, by=owner, updates=[branch("newer", ZERO, start)], options=options)
    move(project, update)
    pushes.record(proposal.push)
    assert Environment.objects.get(branch="new").parent == Environment.objects.get(branch="master")


def test_a_name_that_is_no_text_is_refused_like_any_other_bad_name(project: Project, start: str, owner: User) -> None:
    assert "cannot be a branch name" in refused(project, owner, branch(os.fsdecode(b"caf\xe9"), ZERO, start))


def test_what_is_recorded_is_looked_at_in_few_queries(
    project: Project,
    start: str,
    owner: User,
    django_assert_max_num_queries: Callable[[int], AbstractContextManager[object]],
) -> None:
    push(project, owner, *(branch(f"branch-{number}", ZERO, start) for number in range(20)))
    with django_assert_max_num_queries(2):
        assert pushes.reconcile_refs(project) == []
