"""Sudden deaths around a running instance: nothing is lost, nothing runs twice, nothing runs for ever.

The leases of the instance are short, see conftest.LIMITS.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import redis

from tests.e2e.ground import FINAL, FOREVER, Attempt, Ground
from tests.e2e.instance import wait_for
from tests.e2e.people import Person

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

# Hangs the first time, works when it is tried again.
HANGS_ONCE = f'mkdir "$PLATFORM_CACHE_DIR/$NAME" || exit 0\n{FOREVER}'


def hangs_once(name: str) -> str:
    return HANGS_ONCE.replace("$NAME", name)


def kill_pool_child(attempt: Attempt) -> None:
    os.kill(int(attempt.row["worker"].rpartition(":")[2]), signal.SIGKILL)


def is_lost(ended: dict[str, str], step: str) -> None:
    assert (ended["state"], ended["fault"], ended["error_id"]) == ("failed", "platform", "worker-lost"), ended
    assert re.fullmatch(rf"The worker was lost in step {step}.*\. v\d+ keeps serving\.", ended["outcome"])


def deployed_once(attempt: Attempt) -> None:
    sql = "SELECT state FROM deployments_release WHERE activity_id = ?"
    assert [row["state"] for row in attempt.ground.instance.rows(sql, attempt.row["id"])] in (["live"], ["retired"])
    assert attempt.row["attempts"] == 1
    assert attempt.log().count("Starting release") == 1


@contextmanager
def serving_on(ground: Ground) -> Iterator[None]:
    before = ground.serves()
    with ground.visitors() as troubles:
        yield
    assert troubles == []
    assert ground.serves() == before


def test_a_child_of_the_worker_killed_in_a_build(ground: Ground) -> None:
    with serving_on(ground):
        attempt = ground.begin(build=hangs_once("child"))
        wait_for("the hook", lambda: ground.mentions(FOREVER), 30)
        kill_pool_child(attempt)
        is_lost(attempt.ended(60), "Build")
        ground.is_clean()
    assert attempt.pushing is not None
    assert "The worker was lost" in attempt.pushing.communicate(timeout=20)[0]
    again = ground.person.post(f"{attempt.page}retry")
    assert again.status_code == 302
    state = "SELECT state FROM deployments_activity WHERE id = ?"
    pk = again.headers["location"].strip("/").rpartition("/")[2]
    wait_for("the retry", lambda: ground.instance.rows(state, pk)[0]["state"] in FINAL)
    assert ground.instance.rows(state, pk)[0]["state"] == "succeeded"
    assert ground.serves() == f"{ground.branch} {ground.number}"


def test_a_child_of_the_worker_killed_in_a_deploy_hook(ground: Ground) -> None:
    with serving_on(ground):
        attempt = ground.begin(deploy=FOREVER)
        wait_for("the hook", lambda: ground.mentions(FOREVER), 30)
        kill_pool_child(attempt)
        is_lost(attempt.ended(60), "Deploy hook")
        ground.is_clean()
    left = "SELECT number FROM deployments_release WHERE activity_id = ? AND state != 'failed'"
    assert ground.instance.rows(left, attempt.row["id"]) == []


def test_the_whole_worker_killed_in_a_build(ground: Ground) -> None:
    with serving_on(ground):
        attempt = ground.begin(build=FOREVER)
        wait_for("the hook", lambda: ground.mentions(FOREVER), 30)
        ground.kill("worker")
        is_lost(attempt.ended(60), "Build")
        ground.is_clean()
    after = ground.push()
    assert after.row["state"] == "succeeded", after.output
    deployed_once(after)


def test_redis_emptied_and_killed_with_activities_waiting(ground: Ground) -> None:
    first = ground.begin(build="echo slow; sleep 6")
    first.running_in("build")
    waiting = [ground.begin().accepted() for _ in range(2)]
    assert [attempt.row["state"] for attempt in waiting] == ["pending", "pending"]
    redis.Redis(unix_socket_path=str(ground.instance.home / "run" / "redis.sock")).flushall()
    ground.kill("redis")
    for attempt in (first, *waiting):
        assert attempt.ended(60)["state"] == "succeeded"
        assert attempt.pushing is not None
        assert "is live at" in attempt.pushing.communicate(timeout=20)[0]
        deployed_once(attempt)
    assert ground.serves() == f"{ground.branch} {ground.number}"


def test_of_two_pushes_at_once_the_last_is_live(ground: Ground) -> None:
    one = ground.begin().accepted()
    time.sleep(0.1)
    two = ground.begin()
    assert {one.ended()["state"], two.ended()["state"]} == {"succeeded"}
    assert ground.serves() == f"{ground.branch} {ground.number}"
    deployed_once(two)


def lines_of(person: Person, url: str, seen: list[int], last: str, until: int) -> str:
    """Read a stream of events until it breaks, ends or has brought that many lines; the id of its last event."""
    try:
        with person.http.stream("GET", url, headers={"Last-Event-ID": last}) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                last = line.removeprefix("id: ") if line.startswith("id: ") else last
                seen += [int(number) for number in re.findall(r'id="L(\d+)"', line)]
                if "event: end" in line or len(seen) >= until:
                    break
    except httpx.HTTPError:
        pass
    return last


def test_pages_that_are_left_are_not_counted_any_more(ground: Ground) -> None:
    """More of them, one after another, than one person may have open."""
    for _ in range(60):
        with ground.person.http.stream("GET", f"/projects/{ground.project}/events") as answer:
            assert answer.status_code == 200
            assert next(answer.iter_lines()) == "retry: 2000"


def test_an_open_page_goes_on_where_it_was_when_the_web_process_is_killed(ground: Ground) -> None:
    attempt = ground.begin(build="for i in $(seq 60); do echo line $i; sleep 0.1; done")
    attempt.running_in("build")
    url, seen = f"{attempt.page}stream?after=0", list[int]()
    last = lines_of(ground.person, url, seen, "", until=20)
    assert last
    ground.kill("web")
    for _ in range(40):
        if attempt.row["state"] in FINAL and len(seen) >= attempt.log().count("\n"):
            break
        last = lines_of(ground.person, url, seen, last, until=10_000)
        time.sleep(0.3)
    assert attempt.ended()["state"] == "succeeded"
    assert seen == list(range(1, attempt.log().count("\n") + 1))


def test_a_second_start_says_that_it_runs_already(ground: Ground) -> None:
    before = ground.pid("web")
    assert "already running" in ground.instance.launcher("up", "--detach")
    assert ground.pid("web") == before


def test_a_power_cut_brings_every_environment_back(ground: Ground) -> None:
    instance = ground.instance
    sql = (
        "SELECT machine_name || '-' || project_id FROM environments_environment "
        "WHERE status = 'active' AND branch IN ('master', 'ground')"  # beside those of other tests
    )
    sites = [f"http://{row[0]}.localhost:{instance.port}/" for row in instance.rows(sql)]
    assert len(sites) == 2
    assert [ground.person.get(site).status_code for site in sites] == [200, 200]
    attempt = ground.begin(build=FOREVER)
    wait_for("the hook", lambda: ground.mentions(FOREVER), 30)
    while found := ground.processes():
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    assert ground.mentions(FOREVER) == []
    assert attempt.pushing is not None
    attempt.pushing.communicate(timeout=30)
    status = subprocess.run(["./slipway", "status"], env=instance.env, cwd=os.curdir, capture_output=True, check=False)
    assert status.returncode == 3
    instance.launcher("up", "--detach")
    is_lost(attempt.ended(60), "Build")
    answers = [ground.person.get(site) for site in sites]
    assert [answer.status_code for answer in answers] == [200, 200]
    ground.is_clean()
    after = ground.push()
    assert after.row["state"] == "succeeded", after.output
    deployed_once(after)
