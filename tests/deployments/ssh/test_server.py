"""The real git and ssh against the running server: what gets in, what is refused, what stays whole."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from deployments.enums import Kind, State
from deployments.models import Activity, LogChunk, Push
from environments import repositories
from environments.models import Environment
from portal.enums import EnvironmentRole
from portal.models import Membership, Project, SSHKey, User
from portal.paths import Home
from tests import factories
from tests.deployments import git_server
from tests.deployments.git_server import Client

NO_WAIT = "SetEnv=PLATFORMSH_PUSH_NO_WAIT=1"
ClientOf = Callable[..., Client]


def wait_for(question: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_a_member_clones_and_pushes_a_new_branch(client: Client, project: Project, owner: User, home: Home) -> None:
    client.options = [NO_WAIT]
    work = client.clone(project)
    assert (work / "README").read_text() == "hello\n"

    client.git("checkout", "-q", "-b", "feature/x", at=work)
    commit = client.commit(work, {"README": "changed\n"})
    pushed = client.git("push", "origin", "feature/x", at=work)

    environment = Environment.objects.get(project=project, branch="feature/x")
    activity = Activity.objects.get(environment=environment)
    assert repositories.head(home.repository(project.pk), "feature/x") == commit
    assert environment.parent is not None
    assert (environment.name, environment.status, environment.parent.branch) == ("feature-x", "inactive", "master")
    assert environment.access.get(user=owner).role == "admin"
    assert activity.parameters["commit"] == commit
    assert [each["subject"] for each in activity.parameters["commits"]] == ["Change something"]
    assert f"remote: Activity {activity.pk}" in pushed.stderr
    assert Push.objects.get().recorded_at is not None
    wait_for(lambda: SSHKey.objects.get().last_used_address == "127.0.0.1")


def test_the_log_of_the_activity_streams_to_the_pusher(client: Client, project: Project) -> None:
    work = client.clone(project)
    client.commit(work, {"README": "changed\n"})

    def engine() -> None:
        wait_for(Activity.objects.exists)
        activity = Activity.objects.get()
        for number, text in enumerate(("Building application app\n", "  \x1b[32mDone\x1b[0m\nDeploying\n"), 1):
            LogChunk.objects.create(
                activity=activity, number=number, first_line=number, at=activity.created_at, text=text
            )
            time.sleep(0.3)
        urls = {"urls": ["http://app.localhost/"]}
        Activity.objects.update(state=State.SUCCEEDED, outcome="Deployed in 1 second.", payload=urls)

    thread = threading.Thread(target=people_call, args=(engine,))
    thread.start()
    pushed = client.git("push", "origin", "master", at=work)
    thread.join()

    for line in ("Building application app", "Done", "Deploying", "Deployed in 1 second.", "http://app.localhost/"):
        assert line in pushed.stderr
    assert pushed.stderr.index("Building") < pushed.stderr.index("Deploying") < pushed.stderr.index("Deployed in")


def people_call(function: Callable[[], None]) -> None:
    from django.db import connections

    try:
        function()
    finally:
        connections.close_all()


def test_control_c_after_the_push_was_let_in_leaves_the_activity_alone(client: Client, project: Project) -> None:
    work = client.clone(project)
    client.commit(work, {"README": "changed\n"})
    push = subprocess.Popen(
        ["git", "push", "origin", "master"],
        cwd=work,
        env=client.environment(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(Activity.objects.exists)
    os.killpg(push.pid, signal.SIGINT)
    push.wait(10)
    time.sleep(0.5)
    assert Activity.objects.get().state == State.PENDING
    assert Push.objects.get().recorded_at is not None


def test_who_waits_for_an_earlier_activity_is_told_of_which(client: Client, project: Project) -> None:
    work = client.clone(project)
    environment = project.environments.get(branch="master")
    earlier = factories.ActivityFactory(project=project, environment=environment, state=State.PENDING)
    client.commit(work, {"README": "changed\n"})
    push = subprocess.Popen(
        ["git", "push", "origin", "master"], cwd=work, env=client.environment(), stderr=subprocess.PIPE, text=True
    )
    wait_for(lambda: Activity.objects.exclude(pk=earlier.pk).exists())
    assert push.stderr is not None
    said = next((line for line in push.stderr if "Waiting for" in line), "")
    assert f"Waiting for an earlier activity of {environment}: {earlier}" in said
    Activity.objects.update(state=State.SUCCEEDED, outcome="Fine.")
    push.communicate(timeout=15)


def test_the_logs_of_two_pushed_branches_are_told_apart(client: Client, project: Project) -> None:
    work = client.clone(project)
    client.commit(work, {"README": "changed\n"})
    push = subprocess.Popen(
        ["git", "push", "origin", "master:one", "master:two"],
        cwd=work,
        env=client.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: Activity.objects.count() == 2)
    Activity.objects.update(state=State.SUCCEEDED, outcome="Fine.")
    assert push.stderr is not None
    said = push.stderr.read()
    assert push.wait(10) == 0
    assert ["Environment one" in said, "Environment two" in said] == [True, True]


def test_a_push_of_nothing_makes_no_activity(client: Client, project: Project) -> None:
    work = client.clone(project)
    assert "up-to-date" in client.git("push", "origin", "master", at=work).stderr
    assert not Activity.objects.exists()


def test_a_tag_is_taken_without_an_activity(client: Client, project: Project, home: Home) -> None:
    work = client.clone(project)
    client.git("tag", "v1", at=work)
    client.git("push", "origin", "v1", at=work)
    assert dict(repositories.refs(home.repository(project.pk), "refs/tags/")).keys() == {"v1"}
    assert not Activity.objects.exists()


@pytest.mark.parametrize("ref", ["refs/for/master", "refs/slipway/x", "refs/notes/x"])
def test_other_refs_are_refused(client: Client, project: Project, home: Home, ref: str) -> None:
    work = client.clone(project)
    client.commit(work, {"README": "changed\n"})
    before = snapshot(home, project)
    done = client.git("push", "origin", f"HEAD:{ref}", "HEAD:refs/heads/fine", at=work, check=False)
    assert done.returncode != 0
    assert "rejected" in done.stderr
    if "slipway" not in ref:
        assert "only branches and tags" in done.stderr
        assert snapshot(home, project) == before


def snapshot(home: Home, project: Project) -> dict[str, str]:
    return dict(repositories.refs(home.repository(project.pk), "refs/"))


def test_a_push_of_two_branches_of_which_one_is_bad_is_refused_whole(
    client: Client, project: Project, home: Home
) -> None:
    work = client.clone(project)
    client.git("checkout", "-q", "-b", "good", at=work)
    client.commit(work, {"README": "good\n"})
    client.git("checkout", "-q", "-b", "bad", at=work)
    client.commit(work, {".platform.app.yaml": "name: app\ntype: 'python:3.11'\nbuilt: {}\n"})
    before = snapshot(home, project)
    done = client.git("push", "origin", "good", "bad", at=work, check=False)

    assert done.returncode != 0
    assert "bad: the configuration cannot be used." in done.stderr
    assert ".platform.app.yaml:3" in done.stderr
    assert snapshot(home, project) == before
    assert not Activity.objects.exists()
    assert not Push.objects.exists()
    loose = subprocess.run(
        ["git", "--git-dir", str(home.repository(project.pk)), "count-objects"], capture_output=True, text=True
    )
    assert loose.stdout.startswith("4 objects") or loose.stdout.startswith("3 objects")  # the quarantine is gone


def test_the_configuration_is_checked_before_the_objects_are_in_the_repository(
    client: Client, project: Project, home: Home
) -> None:
    work = client.clone(project)
    client.commit(work, {".platform/services.yaml": "db:\n  type: oracle:19\n"})
    done = client.git("push", "origin", "HEAD:master", at=work, check=False)
    assert done.returncode != 0
    assert ".platform/services.yaml:2" in done.stderr


def test_a_delete_of_an_inactive_branch_removes_its_environment(client: Client, project: Project) -> None:
    client.options = [NO_WAIT]
    work = client.clone(project)
    client.git("push", "origin", "HEAD:old", at=work)
    Activity.objects.update(state=State.SUCCEEDED)
    client.git("push", "origin", "--delete", "old", at=work)
    assert not Environment.objects.filter(project=project, branch="old").exists()


@pytest.mark.parametrize("branch", ["master", "staging", "production"])
def test_the_branches_of_every_project_cannot_be_deleted(
    client: Client, project: Project, home: Home, branch: str
) -> None:
    work = client.clone(project)
    before = snapshot(home, project)
    done = client.git("push", "origin", "--delete", branch, at=work, check=False)
    assert "cannot be deleted" in done.stderr
    assert snapshot(home, project) == before


def test_the_push_option_activates_the_new_environment(client: Client, project: Project) -> None:
    client.options = [NO_WAIT]
    work = client.clone(project)
    options = ["-o", "environment.status=active", "-o", "environment.title=My feature", "-o", "colour=blue"]
    done = client.git("push", *options, "origin", "HEAD:feature", at=work)
    activity = Activity.objects.get()
    assert activity.kind == Kind.ACTIVATE
    assert activity.environment is not None
    assert activity.environment.title == "My feature"
    assert 'push option "colour" is not known' in done.stderr


def test_a_viewer_clones_but_cannot_push(client_of: ClientOf, project: Project, home: Home) -> None:
    viewer = client_of(factories.member(project, integration=EnvironmentRole.VIEWER))
    work = viewer.clone(project)
    viewer.commit(work, {"README": "changed\n"})
    before = snapshot(home, project)
    done = viewer.git("push", "origin", "HEAD:master", "HEAD:mine", at=work, check=False)
    assert "This needs the role contributor on master" in done.stderr
    assert snapshot(home, project) == before


def test_a_force_push_needs_an_environment_admin(client_of: ClientOf, project: Project, client: Client) -> None:
    contributor = client_of(factories.member(project, integration=EnvironmentRole.CONTRIBUTOR), "other")
    for each, fine in ((contributor, False), (client, True)):
        each.options = [NO_WAIT]
        work = each.clone(project)
        each.git("commit", "-q", "--amend", "-m", f"Other beginning {fine}", at=work)
        done = each.git("push", "--force", "origin", "HEAD:master", at=work, check=False)
        assert (done.returncode == 0) is fine
        assert ("force push" in done.stderr) is not fine


def test_a_stranger_gets_the_answer_of_a_project_that_does_not_exist(client_of: ClientOf, project: Project) -> None:
    stranger = client_of(factories.UserFactory())
    answers = [stranger.ssh("git", f"git-upload-pack '{name}.git'") for name in (project.pk, "a" * 13)]
    assert [(each.returncode, each.stdout) for each in answers] == [(1, ""), (1, "")]
    assert answers[0].stderr == answers[1].stderr == "There is no such project, or you have no access to it.\n"


def test_an_unknown_key_does_not_get_in(client_of: ClientOf) -> None:
    done = client_of(None).ssh("git")
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_a_suspended_person_does_not_get_in(client: Client, owner: User) -> None:
    User.objects.update(is_active=False)
    assert "Permission denied" in client.ssh("git").stderr


def test_a_large_repository_comes_and_goes_whole(client: Client, project: Project, home: Home, tmp_path: Path) -> None:
    client.options = [NO_WAIT]
    work = client.clone(project)
    for number in range(20):
        (work / f"file-{number}").write_bytes(os.urandom(1024 * 1024))
    commit = client.commit(work, {})
    client.git("push", "origin", "master", at=work)
    subprocess.run(["git", "--git-dir", str(home.repository(project.pk)), "fsck", "--strict"], check=True)

    again = client.clone(project, "again")
    assert client.git("rev-parse", "HEAD", at=again).stdout.strip() == commit
    client.git("fsck", "--strict", at=again)
    for number in range(20):
        assert (again / f"file-{number}").read_bytes() == (work / f"file-{number}").read_bytes()


def test_a_client_that_leaves_in_the_middle_of_a_push_changes_nothing(
    client: Client, project: Project, home: Home
) -> None:
    work = client.clone(project)
    (work / "large").write_bytes(os.urandom(40 * 1024 * 1024))
    client.commit(work, {})
    before = snapshot(home, project)
    push = subprocess.Popen(
        ["git", "push", "origin", "master"],
        cwd=work,
        env=client.environment(),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    objects = home.repository(project.pk) / "objects"
    wait_for(lambda: any(objects.glob("tmp_objdir-*")) or any(objects.glob("incoming-*")))
    os.killpg(push.pid, signal.SIGKILL)
    push.wait(10)
    wait_for(lambda: not processes_of(home.repository(project.pk)))
    assert snapshot(home, project) == before
    assert not Push.objects.exists()


def processes_of(repository: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if str(repository).encode() in line:
            found.append(line.decode("utf-8", "replace"))
    return found


@pytest.mark.parametrize("taken", ["key", "account", "membership"])
def test_what_is_taken_away_cuts_a_running_push_within_five_seconds(
    client: Client, project: Project, owner: User, taken: str
) -> None:
    work = client.clone(project)
    client.commit(work, {"README": "changed\n"})
    push = subprocess.Popen(
        ["git", "push", "origin", "master"], cwd=work, env=client.environment(), stderr=subprocess.DEVNULL
    )
    wait_for(Activity.objects.exists)
    time.sleep(0.3)
    assert push.poll() is None
    started = time.monotonic()
    if taken == "key":
        SSHKey.objects.all().delete()
    elif taken == "account":
        User.objects.update(is_active=False)
    else:
        Membership.objects.all().delete()
    push.wait(5)
    assert time.monotonic() - started < 5
    assert Activity.objects.get().state == State.PENDING


def test_fifty_clones_at_once_are_all_whole(client: Client, project: Project) -> None:
    clones = [
        subprocess.Popen(
            ["git", "clone", "-q", client.url(project), f"clone-{number}"], cwd=client.folder, env=client.environment()
        )
        for number in range(50)
    ]
    assert [each.wait(60) for each in clones] == [0] * 50
    assert all((client.folder / f"clone-{number}" / "README").exists() for number in range(50))


def test_two_pushes_at_once_are_recorded_in_the_order_in_which_the_branch_moved(
    client: Client, project: Project, home: Home
) -> None:
    client.options = [NO_WAIT]
    works = [client.clone(project, f"work-{number}") for number in range(4)]
    commits = [client.commit(work, {"README": f"{number}\n"}) for number, work in enumerate(works)]
    pushes = [
        subprocess.Popen(
            ["git", "push", "--force", "origin", "master"],
            cwd=work,
            env=client.environment(),
            stderr=subprocess.DEVNULL,
        )
        for work in works
    ]
    codes = [each.wait(30) for each in pushes]
    recorded = [each.parameters["commit"] for each in Activity.objects.order_by("sequence")]
    assert sorted(recorded) == sorted(commit for commit, code in zip(commits, codes, strict=True) if code == 0)
    assert recorded[-1] == repositories.head(home.repository(project.pk), "master")
    assert Environment.objects.get(branch="master").head_commit == recorded[-1]


def test_a_server_that_stops_lets_an_accepted_push_finish_and_cuts_the_others(
    project: Project, owner: User, home: Home, tmp_path: Path
) -> None:
    with git_server.running() as port:
        client = git_server.new_client(tmp_path / "client", port, owner)
        work = client.clone(project)
        commit = client.commit(work, {"README": "changed\n"})
        push = subprocess.Popen(
            ["git", "push", "origin", "master"], cwd=work, env=client.environment(), stderr=subprocess.DEVNULL
        )
        reading = subprocess.Popen(
            [*client.ssh_command(), "git@127.0.0.1", f"git-upload-pack '{project.pk}'"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(Activity.objects.exists)
    assert push.wait(10) is not None
    assert reading.wait(10) is not None
    assert Activity.objects.get().parameters["commit"] == commit
    assert repositories.head(home.repository(project.pk), "master") == commit
    wait_for(lambda: not processes_of(home.repository(project.pk)))


def test_a_client_that_sends_more_than_the_window_allows_is_cut_off(client: Client, project: Project) -> None:
    key = asyncssh.read_private_key(str(client.key))

    async def flood() -> int:
        sent = 0
        async with asyncssh.connect(
            "127.0.0.1", client.port, username="git", client_keys=[key], known_hosts=None
        ) as link:
            channel, _ = await link.create_session(
                asyncssh.SSHClientSession, f"git-receive-pack '{project.pk}'", encoding=None
            )
            channel._send_window = 1 << 40
            try:
                for _ in range(200):
                    channel.write(b"ffff" + b"x" * (1 << 20))
                    sent += 1
                    await asyncio.sleep(0.01)
                await asyncio.wait_for(link.wait_closed(), 10)
            except (OSError, asyncssh.Error):
                pass
        return sent

    assert asyncio.run(flood()) >= 1
    assert client.ssh("git").returncode == 1  # the server is well
