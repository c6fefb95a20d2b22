"""Merging a branch into its parent, and taking the parent's code: what moves, what does not, and who may."""

import subprocess
import threading
from pathlib import Path

import pytest
from django.db import connection

from deployments import state
from deployments.actions import environments as actions
from deployments.actions import merges, pushes, retries
from deployments.actions.push_check import RefUpdate
from deployments.enums import Kind, State
from deployments.models import Activity, Push
from deployments.pipeline import merge as pipeline
from deployments.pipeline import sweeping
from environments import repositories
from environments.models import Environment
from portal.enums import EnvironmentRole
from portal.errors import Conflict, Denied
from tests.deployments.engine import Engine, log_of
from tests.factories import member


def git(path: Path, *arguments: str) -> str:
    argv = ["git", "--git-dir", str(path), *arguments]
    return subprocess.run(argv, capture_output=True, check=True, text=True).stdout.strip()


@pytest.fixture
def child(engine: Engine) -> Environment:
    """A branch of master with one commit more."""
    child = engine.branch("next")
    engine.add(child, {"new.txt": "new\n"}, "Add new")
    return child


def heads_agree(engine: Engine) -> None:
    """I6: what is recorded is what Git says, and every move has its activity."""
    at = repositories.branches(engine.repository)
    assert dict(engine.project.environments.values_list("branch", "head_commit")) == at
    assert pushes.reconcile_refs(engine.project) == []
    assert not Push.objects.filter(recorded_at=None).exists()


def test_a_merge_moves_the_parent_forward_and_deploys_it(engine: Engine, child: Environment) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.run(merges.merge(child, by=engine.by, seen=child.head_commit))
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert (activity.environment, activity.source) == (engine.environment, child)
    assert engine.environment.head_commit == child.head_commit
    follow = Activity.objects.get(pk=activity.payload["follow"])
    assert (follow.kind, follow.environment, follow.actor) == (Kind.PUSH, engine.environment, engine.by)
    assert [commit["subject"] for commit in follow.parameters["commits"]] == ["Add new"]
    assert activity.outcome == f"next is merged into master, now at {child.head_commit[:7]}; it is deployed next."
    assert engine.run(follow).state == State.SUCCEEDED
    assert engine.served_by() == 2
    heads_agree(engine)


def test_a_merge_commit_is_the_acting_persons(engine: Engine, child: Environment) -> None:
    before = engine.add(engine.environment, {"other.txt": "other\n"})
    activity = engine.run(merges.merge(child, by=engine.by))
    assert activity.state == State.SUCCEEDED, activity.outcome
    told = git(engine.repository, "log", "-1", "--format=%an|%ae|%P|%s", "master")
    assert told == f"{engine.by}|{engine.by.email}|{before} {child.head_commit}|Merge next into master"
    assert git(engine.repository, "show", "master:new.txt") == "new"
    assert git(engine.repository, "show", "master:other.txt") == "other"
    heads_agree(engine)


def test_a_merge_commit_is_made_where_it_is_asked_for(engine: Engine, child: Environment) -> None:
    before = engine.environment.head_commit
    engine.run(merges.merge(child, by=engine.by, how=merges.COMMIT))
    assert git(engine.repository, "log", "-1", "--format=%P", "master") == f"{before} {child.head_commit}"


def test_collisions_move_nothing_and_tell_files_and_commands(engine: Engine, child: Environment) -> None:
    engine.add(child, {"serve.py": "print('child')\n", "it's odd": "1"})
    engine.add(engine.environment, {"serve.py": "print('parent')\n", "it's odd": "2"})
    before = engine.environment.head_commit
    activity = engine.run(merges.merge(child, by=engine.by))
    assert (activity.state, activity.error_id) == (State.FAILED, "merge-collision")
    assert "next and master both changed it's odd, serve.py. Nothing was moved." in activity.outcome
    log = log_of(activity)
    assert "serve.py: both sides changed the same lines" in log
    for command in (
        "git fetch origin",
        "git switch next",
        "git merge origin/master",
        """git add -- 'it'"'"'s odd' serve.py""",
        "git push origin next",
    ):
        assert command in log
    assert repositories.head(engine.repository, "master") == before
    heads_agree(engine)


def test_the_commands_do_settle_a_collision(engine: Engine, child: Environment, tmp_path: Path) -> None:
    """What the log says is typed, in a clone."""
    engine.add(child, {"serve.py": "print('child')\n"})
    engine.add(engine.environment, {"serve.py": "print('parent')\n"})
    engine.run(merges.merge(child, by=engine.by))
    clone = tmp_path / "clone"
    collision = repositories.Collision("serve.py", "")
    lines = pipeline.commands(Kind.MERGE, merges.USUAL, "next", "master", [collision])
    script = "\n".join(lines).replace("# edit each file until it is as it should be, then:", "echo both > serve.py")
    script = (
        f"git clone -q {engine.repository} {clone}; cd {clone}; git config user.name x; git config user.email x@y\n"
        + script
    )
    subprocess.run(["bash", "-c", script], check=False, capture_output=True)
    assert git(engine.repository, "show", "next:serve.py") == "both"
    Environment.objects.filter(pk=child.pk).update(head_commit=repositories.head(engine.repository, "next"))
    activity = engine.run(retries.retry(Activity.objects.get(kind=Kind.MERGE), by=engine.by))
    assert activity.state == State.SUCCEEDED, activity.outcome


def test_a_configuration_that_cannot_run_is_not_merged_into_what_runs(engine: Engine, child: Environment) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    engine.add(child, {".platform.app.yaml": "name: app\ntype: 'cobol:1'\n"})
    before = engine.environment.head_commit
    activity = engine.run(merges.merge(child, by=engine.by))
    assert (activity.state, activity.error_id) == (State.FAILED, "configuration-invalid")
    assert ".platform.app.yaml" in activity.outcome
    assert repositories.head(engine.repository, "master") == before


@pytest.mark.parametrize(
    ("how", "parents"), [(merges.USUAL, 2), (merges.COMMIT, 2), (merges.REBASE, 1)], ids=["usual", "commit", "rebase"]
)
def test_the_parents_code_comes_down(engine: Engine, child: Environment, how: str, parents: int) -> None:
    above = engine.add(engine.environment, {"other.txt": "other\n"}, "Add other")
    activity = engine.run(merges.synchronize(child, by=engine.by, how=how, seen=above))
    child.refresh_from_db()
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert (activity.environment, activity.source) == (child, engine.environment)
    assert len(git(engine.repository, "log", "-1", "--format=%P", "next").split()) == parents
    assert git(engine.repository, "show", "next:other.txt") == "other"
    assert git(engine.repository, "show", "next:new.txt") == "new"
    assert repositories.head(engine.repository, "master") == above
    heads_agree(engine)


def test_a_child_without_commits_of_its_own_is_moved_forward(engine: Engine) -> None:
    child = engine.branch("next")
    above = engine.add(engine.environment, {"other.txt": "other\n"})
    engine.run(merges.synchronize(child, by=engine.by))
    assert repositories.head(engine.repository, "next") == above


def test_a_rebase_that_does_not_fit_names_the_commit(engine: Engine, child: Environment) -> None:
    engine.add(engine.environment, {"new.txt": "another\n"})
    activity = engine.run(merges.synchronize(child, by=engine.by, how=merges.REBASE))
    assert activity.error_id == "merge-collision"
    assert "at the commit “Add new”" in log_of(activity)
    assert "git rebase origin/master" in log_of(activity)
    assert "git push --force-with-lease" in log_of(activity)


def test_what_has_moved_on_since_it_was_looked_at_is_looked_at_again(engine: Engine, child: Environment) -> None:
    seen = child.head_commit
    engine.add(child, {"more.txt": "more"})
    with pytest.raises(Conflict, match="has moved on"):
        merges.merge(child, by=engine.by, seen=seen)


def test_who_may_merge(engine: Engine, child: Environment) -> None:
    roles = {"integration": EnvironmentRole.ADMIN, "staging": EnvironmentRole.CONTRIBUTOR}
    someone = member(engine.project, **roles)
    with pytest.raises(Denied, match="admin on next"):
        merges.merge(child, by=member(engine.project, integration=EnvironmentRole.CONTRIBUTOR))
    engine.add(engine.environment, {"x": "x"})
    with pytest.raises(Denied, match="admin on staging"):
        merges.merge(engine.environment, by=someone)  # master into Staging
    assert engine.run(merges.merge(child, by=someone)).state == State.SUCCEEDED


def test_a_right_that_is_taken_away_while_it_waits_counts(engine: Engine, child: Environment) -> None:
    someone = member(engine.project, integration=EnvironmentRole.ADMIN)
    activity = merges.merge(child, by=someone)
    someone.memberships.get().type_roles.update(role=EnvironmentRole.VIEWER)
    engine.run(activity)
    assert (activity.state, activity.error_id) == (State.FAILED, "not-possible")
    assert repositories.head(engine.repository, "master") != child.head_commit


def test_top_of_the_tree_and_nothing_to_bring_are_refused(engine: Engine) -> None:
    production = engine.project.environments.get(branch="production")
    for ask in (merges.merge, merges.synchronize):
        with pytest.raises(Conflict, match="at the top of the tree"):
            ask(production, by=engine.by)


def test_a_child_is_not_deleted_while_it_is_merged_and_not_merged_twice(engine: Engine, child: Environment) -> None:
    merges.merge(child, by=engine.by)
    with pytest.raises(Conflict, match="being merged into master"):
        actions.delete(child, by=engine.by)
    with pytest.raises(Conflict, match="is being merged into master already"):
        merges.merge(child, by=engine.by)


def test_a_push_during_a_merge_is_kept_and_the_merge_comes_on_top(
    engine: Engine, child: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = repositories.move
    pushed: list[str] = []

    def move(path: Path, branch: str, old: str, new: str, why: str) -> bool:
        if not pushed:  # somebody is a moment faster
            monkeypatch.setattr(repositories, "move", usual)
            pushed.append(engine.add(engine.environment, {"pushed.txt": "pushed\n"}, "Pushed meanwhile"))
        return usual(path, branch, old, new, why)

    monkeypatch.setattr(repositories, "move", move)
    activity = engine.run(merges.merge(child, by=engine.by))
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert git(engine.repository, "show", "master:pushed.txt") == "pushed"
    assert git(engine.repository, "show", "master:new.txt") == "new"
    assert git(engine.repository, "log", "-1", "--format=%P", "master") == f"{pushed[0]} {child.head_commit}"
    heads_agree(engine)


@pytest.mark.parametrize("moved", [True, False], ids=["after git moved", "before git moved"])
def test_a_worker_lost_between_git_and_the_record_is_followed_by_one_that_finds_out(
    engine: Engine, child: Environment, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    engine.add(engine.environment, {"other.txt": "other\n"})
    usual = repositories.move

    def die(path: Path, branch: str, old: str, new: str, why: str) -> bool:
        if moved:
            assert usual(path, branch, old, new, why)
        raise state.LostLease("died")

    activity = merges.merge(child, by=engine.by)
    with monkeypatch.context() as patched:
        patched.setattr(repositories, "move", die)
        engine.run(activity)
    assert Push.objects.filter(recorded_at=None).count() == 1
    Activity.objects.filter(pk=activity.pk).update(lease_until="2020-01-01T00:00:00Z")
    sweeping.sweep()
    engine.run(activity)
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert git(engine.repository, "show", "master:new.txt") == "new"
    assert Activity.objects.filter(kind=Kind.PUSH).count() == 1
    assert engine.environment.head_commit[:7] in activity.outcome
    heads_agree(engine)


def test_two_people_who_press_at_once_get_one_merge(engine: Engine, child: Environment) -> None:
    results: list[object] = []
    together = threading.Barrier(4)

    def press() -> None:
        together.wait()
        try:
            results.append(merges.merge(child, by=engine.by))
        except Conflict as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=press) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([result for result in results if isinstance(result, Activity)]) == 1
    assert Activity.objects.filter(kind=Kind.MERGE).count() == 1


def test_real_pushes_and_merges_at_once_lose_no_commit(engine: Engine, child: Environment) -> None:
    """Pushes to master, as the SSH door lets them in, beside merges into it: all that was accepted is there."""
    accepted: list[str] = []
    children = [child, *(engine.branch(f"b{number}") for number in range(3))]
    for number, each in enumerate(children[1:]):
        engine.add(each, {f"b{number}.txt": "x"})
    asked = [merges.merge(each, by=engine.by) for each in children]

    def push() -> None:
        try:
            for number in range(12):
                old = repositories.head(engine.repository, "master") or ""
                files = {f"p{number}.txt": b"x"}
                at = engine.project.created_at
                new = repositories.commit_change(
                    engine.repository, old, files, message="p", author="P", email="p@x", at=at
                )
                update = RefUpdate("refs/heads/master", old, new)
                proposal = pushes.propose(engine.project, by=engine.by, updates=[update])
                if repositories.move(engine.repository, "master", old, new, "push"):
                    accepted.append(new)
                    pushes.record(proposal.push, [update.ref])
                else:
                    pushes.withdraw(proposal.push.pk)
        finally:
            connection.close()

    thread = threading.Thread(target=push)
    thread.start()
    for activity in asked:
        engine.run(activity)
    thread.join()
    for _ in range(40):
        waiting = Activity.objects.in_turn().order_by("sequence").first()
        if waiting is None:
            break
        engine.run(waiting)
    head = repositories.head(engine.repository, "master") or ""
    assert accepted
    for commit in [*accepted, *(each.head_commit for each in children)]:
        assert repositories.is_ancestor(engine.repository, commit, head)
    assert {activity.state for activity in Activity.objects.filter(kind=Kind.MERGE)} == {State.SUCCEEDED}
    pushes.reconcile_refs(engine.project)
    engine.environment.refresh_from_db()
    assert engine.environment.head_commit == head
