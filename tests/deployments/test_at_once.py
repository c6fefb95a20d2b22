"""Two people press at once, each in a thread with a connection of their own: one is done, the other is told why not."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from deployments.actions import pushes
from deployments.actions.push_check import PushRefused, RefUpdate
from deployments.enums import Kind, State
from deployments.models import Activity
from environments import repositories
from environments.models import Environment
from portal.models import User
from tests.deployments.engine import Engine
from tests.factories import MembershipFactory, UserFactory

Press = Callable[[], tuple[int, str]]  # answers with a status and with what the page says
ROUNDS = range(5)  # a race that is lost now and then is lost


@pytest.fixture
def others(engine: Engine) -> list[User]:
    """A second owner beside `engine.by`."""
    return [engine.by, MembershipFactory(project=engine.project, user=UserFactory()).user]


def at_once(*presses: Press) -> list[tuple[int, str]]:
    together = threading.Barrier(len(presses))
    answers: list[tuple[int, str]] = [(0, "")] * len(presses)

    def press(number: int) -> None:
        try:
            together.wait()
            answers[number] = presses[number]()
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=(number,)) for number in range(len(presses))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def button(who: User, environment: Environment, door: str, **form: str) -> Press:
    client = Client()
    client.force_login(who)
    url = f"/projects/{environment.project_id}/environments/{environment.name}/{door}"

    def press() -> tuple[int, str]:
        answer = client.post(url, form)
        return answer.status_code, answer.content.decode()

    return press


def push(who: User, engine: Engine, environment: Environment, commit: str) -> Press:
    """As Git's hooks do: let in, then moved, then recorded."""

    def press() -> tuple[int, str]:
        update = RefUpdate(f"refs/heads/{environment.branch}", environment.head_commit, commit)
        try:
            proposal = pushes.propose(engine.project, by=who, updates=[update])
        except PushRefused as refusal:
            return 409, str(refusal)
        if not repositories.move(engine.repository, environment.branch, update.old, update.new, "push"):
            pushes.withdraw(proposal.push.pk)
            return 409, "the branch moved meanwhile"
        pushes.record(proposal.push, [update.ref])
        return 302, ""

    return press


def one_is_told(answers: Sequence[tuple[int, str]], reason: str, status: int = 409) -> None:
    (done, _), (refused, told) = sorted(answers)
    assert (done, refused) == (302, status)
    assert reason in told


def asked(kind: Kind) -> int:
    return Activity.objects.filter(kind=kind).count()


def run_all(engine: Engine) -> list[Activity]:
    """Everything that waits, in its turn."""
    ended = []
    while (waiting := Activity.objects.in_turn().order_by("sequence").first()) is not None:
        ended.append(engine.run(waiting))
    return ended


def test_two_who_activate_it_get_one_activation(engine: Engine, others: list[User]) -> None:
    for number in ROUNDS:
        environment = engine.branch(f"a{number}")
        one_is_told(at_once(*(button(who, environment, "activate") for who in others)), "is being activated already")
        assert asked(Kind.ACTIVATE) == number + 1


def test_two_who_take_the_last_place_get_one_of_them(engine: Engine, others: list[User]) -> None:
    for number in ROUNDS:
        pair = [engine.branch(f"a{number}"), engine.branch(f"b{number}")]
        engine.project.max_active_integration = number + 1
        engine.project.save()
        answers = at_once(*(button(who, each, "activate") for who, each in zip(others, pair, strict=True)))
        one_is_told(answers, "Integration environments, which is its limit")
        refused = next(text for status, text in answers if status == 409)
        assert f"{number} (being activated)" in refused
        assert asked(Kind.ACTIVATE) == number + 1


def test_two_who_delete_it_get_one_deletion(engine: Engine, others: list[User]) -> None:
    for number in ROUNDS:
        gone = engine.branch(f"gone-{number}")
        answers = at_once(*(button(who, gone, "delete", name=gone.name) for who in others))
        one_is_told(answers, "has an activity that has not ended")
        assert [each.state for each in run_all(engine)] == [State.SUCCEEDED]
        assert repositories.head(engine.repository, gone.branch) is None
        assert not Environment.objects.filter(pk=gone.pk).exists()


def test_two_who_deactivate_it_get_one_deactivation(engine: Engine, others: list[User]) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    running = engine.environment
    one_is_told(
        at_once(*(button(who, running, "deactivate", name=running.name) for who in others)),
        "is being deactivated.",
    )
    assert [each.state for each in run_all(engine)] == [State.SUCCEEDED]


def test_a_deactivation_and_a_deployment_come_one_after_the_other(engine: Engine, others: list[User]) -> None:
    for number in ROUNDS:
        running = engine.branch(f"busy-{number}")
        engine.run(engine.ask(Kind.ACTIVATE, running))
        deactivated, deployed = at_once(
            button(others[0], running, "deactivate", name=running.name), button(others[1], running, "redeploy")
        )
        assert deactivated[0] == 302
        if deployed[0] != 302:
            one_is_told([deactivated, deployed], "is being deactivated.")
        assert {each.state for each in run_all(engine)} == {State.SUCCEEDED}
        running.refresh_from_db()
        assert running.status == Environment.Status.INACTIVE
        assert engine.served_by(running) is None


def test_a_deactivation_that_is_asked_for_during_a_deployment_waits_for_its_end(
    engine: Engine, others: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    asked: list[tuple[int, str]] = []
    probe = engine.runtime.probe

    def press_meanwhile(*args: Any, **values: Any) -> Any:
        if not asked:
            press = button(others[1], engine.environment, "deactivate", name=engine.environment.name)
            asked.extend(at_once(press))
            assert Activity.objects.in_turn().first() is None
        return probe(*args, **values)

    monkeypatch.setattr(engine.runtime, "probe", press_meanwhile)
    deployed = engine.run(engine.ask(Kind.REDEPLOY))
    assert ([status for status, _ in asked], deployed.state) == ([302], State.SUCCEEDED)
    assert engine.served_by() == 2
    assert [each.state for each in run_all(engine)] == [State.SUCCEEDED]
    assert (engine.environment.status, engine.served_by()) == (Environment.Status.INACTIVE, None)


def test_two_who_merge_a_branch_get_one_merge(engine: Engine, others: list[User]) -> None:
    for number in ROUNDS:
        child = engine.branch(f"child-{number}")
        engine.add(child, {f"{number}.txt": "new"})
        answers = at_once(*(button(who, child, "merge") for who in others))
        one_is_told(answers, "is being merged into master already", status=400)  # the form again, with the reason
        assert {each.state for each in run_all(engine)} == {State.SUCCEEDED}
        assert asked(Kind.MERGE) == number + 1
        assert repositories.is_ancestor(engine.repository, child.head_commit, engine.environment.head_commit)


def test_of_a_deletion_and_a_push_no_commit_that_was_taken_is_lost(engine: Engine, others: list[User]) -> None:
    for number in ROUNDS:
        branch = engine.branch(f"both-{number}")
        new = repositories.commit_change(
            engine.repository,
            branch.head_commit,
            {"new.txt": b"new"},
            message="New",
            author="P",
            email="p@x",
            at=engine.project.created_at,
        )
        deleted, pushed = at_once(
            button(others[0], branch, "delete", name=branch.name), push(others[1], engine, branch, new)
        )
        assert (deleted[0], pushed[0]) in {(302, 302), (302, 409), (409, 302)}
        if deleted[0] == 409:
            assert "has an activity that has not ended" in deleted[1]
        if pushed[0] == 409:
            assert "its environment is being deleted" in pushed[1]
        deletion = run_all(engine)[0] if deleted[0] == 302 else None
        if deletion is not None and pushed[0] == 302:
            assert deletion.state == State.FAILED
            assert "has moved on meanwhile" in deletion.outcome
        head = repositories.head(engine.repository, branch.branch)
        assert head == (new if pushed[0] == 302 else None)
        pushes.reconcile_refs(engine.project)
        left = Environment.objects.filter(project=engine.project, branch=branch.branch).first()
        assert (left.head_commit if left else None) == head
        assert {each.state for each in run_all(engine)} <= {State.SUCCEEDED}
        assert not Activity.objects.open().exists()
