"""What is asked of an environment while something else of it is at work: each gets its turn, nothing is lost."""

from typing import Any

import pytest

from tests.e2e.ground import FINAL, Ground, prepare
from tests.e2e.instance import wait_for

pytestmark = pytest.mark.e2e

HOOK = "sleep 5"  # long enough to ask for something meanwhile


def page(ground: Ground, branch: str, door: str = "") -> str:
    return f"/projects/{ground.project}/environments/{branch}/{door}"


def press(ground: Ground, branch: str, door: str, **form: str) -> str:
    """The id of the activity that was asked for."""
    answer = ground.person.post(page(ground, branch, door), form)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"].strip("/").rpartition("/")[2])


def activity(ground: Ground, id: str) -> dict[str, Any]:
    return dict(ground.instance.rows("SELECT * FROM deployments_activity WHERE id = ?", id)[0])


def ended(ground: Ground, id: str) -> dict[str, Any]:
    wait_for("its end", lambda: activity(ground, id)["state"] in FINAL, 90)
    return activity(ground, id)


def heads(ground: Ground) -> dict[str, str]:
    lines = ground.instance.git("ls-remote", "origin", cwd=ground.checkout, who=ground.person.name).stdout.splitlines()
    return {ref: sha for sha, ref in (line.split("\t") for line in lines)}


def test_a_deactivation_and_a_deletion_that_are_asked_for_during_a_deployment(ground: Ground) -> None:
    brief = prepare(ground.instance, ground.person, ground.project, "brief")
    host = brief.url
    attempt = brief.begin(deploy=HOOK)
    attempt.accepted()
    attempt.running_in("deploy")
    refused = brief.person.post(page(brief, "brief", "delete"), {"name": "brief"})
    assert refused.status_code == 409
    assert "is active. Deactivate it first." in refused.text
    deactivation = press(brief, "brief", "deactivate", name="brief")
    assert activity(brief, deactivation)["state"] == "pending"
    assert attempt.row["state"] == "running"
    late = brief.person.post(page(brief, "brief", "redeploy"))
    assert (late.status_code, "is being deactivated." in late.text) == (409, True)
    assert attempt.ended(90)["state"] == "succeeded"
    assert ended(brief, deactivation)["state"] == "succeeded"
    assert brief.person.get(host).status_code == 404
    assert ended(brief, press(brief, "brief", "delete", name="brief"))["state"] == "succeeded"
    assert "refs/heads/brief" not in heads(brief)
    assert brief.person.get(page(brief, "brief")).status_code == 404


def test_pushes_during_merges_lose_no_commit(ground: Ground) -> None:
    upper = prepare(ground.instance, ground.person, ground.project, "upper")
    git, who = ground.instance.git, ground.person.name
    made = [upper.attempts[-1].commit]
    for number in range(3):
        child = f"lower-{number}"
        git("fetch", "-q", "origin", cwd=upper.checkout, who=who)
        git("checkout", "-q", "-B", child, "origin/upper", cwd=upper.checkout, who=who)
        made.append(ground.instance.commit(upper.checkout, {f"{child}.txt": child}, f"On {child}", who=who))
        git("push", "-q", "-o", "environment.parent=upper", "origin", child, cwd=upper.checkout, who=who)
        git("checkout", "-q", "-B", "upper", "origin/upper", cwd=upper.checkout, who=who)
        upper.begin()
        merge = press(upper, child, "merge")
        attempt = upper.attempts[-1]
        assert attempt.pushing is not None
        output = attempt.pushing.communicate(timeout=120)[0]
        if attempt.pushing.returncode:  # the merge was faster: as people do, take it in and push again
            assert "rejected" in output, output
            git("pull", "-q", "--no-rebase", "--no-edit", "origin", "upper", cwd=upper.checkout, who=who)
            git("push", "-q", "origin", "HEAD:refs/heads/upper", cwd=upper.checkout, who=who)
        made.append(attempt.commit)
        assert ended(upper, merge)["state"] == "succeeded", activity(upper, merge)["outcome"]
    environment = "SELECT * FROM environments_environment WHERE project_id = ? AND branch = 'upper'"
    row = ground.instance.rows(environment, ground.project)[0]
    open_ = "SELECT * FROM deployments_activity WHERE environment_id = ? AND state IN ('pending', 'running')"
    wait_for("the end of all that was asked", lambda: not ground.instance.rows(open_, row["id"]), 90)
    git("fetch", "-q", "origin", cwd=upper.checkout, who=who)
    for commit in made:
        git("merge-base", "--is-ancestor", commit, "origin/upper", cwd=upper.checkout, who=who)
    row = ground.instance.rows(environment, ground.project)[0]
    assert row["head_commit"] == heads(upper)["refs/heads/upper"]
    live = "SELECT \"commit\" FROM deployments_release WHERE environment_id = ? AND state = 'live'"
    assert ground.instance.rows(live, row["id"])[0]["commit"] == row["head_commit"]
    assert upper.serves() == f"upper {upper.number}"
