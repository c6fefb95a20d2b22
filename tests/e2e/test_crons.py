"""Crons and workers of a running instance: run by hand, waited for and stopped by deployments, killed with their
scheduler; workers that die, and are restarted."""

import os
import signal
import sqlite3
import time

import pytest

from tests.e2e.ground import FINAL, Ground, prepare
from tests.e2e.instance import wait_for

pytestmark = pytest.mark.e2e

# What runs for ever here; no program of other tests has it in its arguments.
LONG = f"sleep 8888.{os.getpid()}"
WORKING = f"sleep 8889.{os.getpid()}"
MORE = f"""
crons:
    quick: {{spec: "H 3 * * *", commands: {{start: "echo hello from $PLATFORM_APPLICATION_NAME"}}}}
    long: {{spec: "H 4 * * *", shutdown_timeout: 1, commands: {{start: "trap '' TERM; echo begun; {LONG}"}}}}
workers:
    queue: {{commands: {{start: "exec {WORKING}"}}}}
"""


@pytest.fixture(scope="module")
def place(ground: Ground) -> Ground:
    mine = prepare(ground.instance, ground.person, ground.project, "crons")
    push = mine.push(more=MORE)
    assert push.row["state"] == "succeeded", push.output
    return mine


def at(place: Ground, rest: str) -> str:
    return f"/projects/{place.project}/environments/crons/{rest}"


def run_now(place: Ground, cron: str) -> str:
    answer = place.person.post(at(place, f"crons/app/{cron}/run"))
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"].strip("/").rpartition("/")[2])


def activity(place: Ground, id: str) -> sqlite3.Row:
    return place.instance.rows("SELECT * FROM deployments_activity WHERE id = ?", id)[0]


def run(place: Ground, id: str) -> dict[str, object]:
    found = place.instance.rows("SELECT * FROM deployments_cronrun WHERE id = ?", id)
    return dict(found[0]) if found else {"outcome": "not there yet"}


def begun(place: Ground) -> str:
    """A run of `long` that is under way."""
    id = run_now(place, "long")
    wait_for("the run", lambda: place.mentions(LONG), 30)
    wait_for("its record", lambda: run(place, id)["outcome"] == "running", 30)
    return id


def test_a_run_by_hand_shows_its_output_and_stays_in_the_history(place: Ground) -> None:
    id = run_now(place, "quick")
    wait_for("its end", lambda: activity(place, id)["state"] in FINAL, 30)
    assert activity(place, id)["state"] == "succeeded", activity(place, id)["outcome"]
    log = place.person.get(f"/projects/{place.project}/activities/{id}/log.txt").text
    assert "hello from app" in log
    wait_for("the record", lambda: run(place, id)["outcome"] == "succeeded", 30)
    assert "hello from app" in place.person.get(at(place, f"cron-runs/{id}")).text
    assert place.person.get(at(place, "crons/app/quick")).text.count(f"cron-runs/{id}") == 1
    assert "H 3 * * *" in place.person.get(at(place, "crons")).text


def test_a_run_that_hangs_never_blocks_a_deployment(place: Ground) -> None:
    id = begun(place)
    began = time.monotonic()
    push = place.push(more=MORE)
    assert push.row["state"] == "succeeded", push.output
    assert time.monotonic() - began < 60
    assert "The cron long runs: waiting up to 2 s for it" in push.log()
    assert "is being stopped" in push.log()
    assert "goes on by itself" in activity(place, id)["outcome"]
    wait_for("its end", lambda: run(place, id)["outcome"] == "stopped", 30)
    assert not place.mentions(LONG)
    again = run_now(place, "quick")  # crons run again after it
    wait_for("a run after it", lambda: activity(place, again)["state"] == "succeeded", 30)


def test_a_run_is_stopped_by_its_button(place: Ground) -> None:
    id = begun(place)
    assert place.person.post(at(place, f"cron-runs/{id}/stop")).status_code == 302
    wait_for("its end", lambda: run(place, id)["outcome"] == "stopped", 30)
    assert not place.mentions(LONG)
    wait_for("the end of its activity", lambda: activity(place, id)["state"] in FINAL, 30)
    assert activity(place, id)["error_id"] == "cron-stopped"


def test_a_run_dies_with_its_scheduler_and_is_told_as_lost(place: Ground) -> None:
    id = begun(place)
    schedulers = [pid for pid, found in place.processes().items() if is_scheduler_of(place, found.arguments)]
    assert schedulers
    for pid in schedulers:
        os.kill(pid, signal.SIGKILL)
    wait_for("the end of the run", lambda: not place.mentions(LONG), 10)
    wait_for("the end of its record", lambda: run(place, id)["outcome"] == "lost", 40)
    wait_for("the end of its activity", lambda: activity(place, id)["state"] in FINAL, 30)
    again = run_now(place, "quick")
    wait_for("a run of the next scheduler", lambda: activity(place, again)["state"] == "succeeded", 30)


def is_scheduler_of(place: Ground, arguments: object) -> bool:
    sql = "SELECT machine_name FROM environments_environment WHERE project_id = ? AND branch = 'crons'"
    name = place.instance.rows(sql, place.project)[0]["machine_name"]
    words = [str(word) for word in arguments]  # type: ignore[attr-defined]
    return any(word.endswith("/cron.py") for word in words) and any(f"/{name}/" in word for word in words)


def test_a_worker_that_dies_is_started_again_and_its_end_is_told(place: Ground) -> None:
    wait_for("the worker", lambda: place.mentions(WORKING), 20)
    pids = [pid for pid, found in place.processes().items() if found.arguments and " ".join(found.arguments) == WORKING]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    fragment = lambda: place.person.get(at(place, "workers")).text  # noqa: E731
    wait_for("the restart", lambda: "1 restart<" in fragment() and "Running" in fragment(), 30)
    assert "Ended last with signal SIGTERM" in fragment()
    assert place.person.post(at(place, "workers/app--queue/restart")).status_code == 302
    wait_for("the second restart", lambda: "2 restarts<" in fragment() and "Running" in fragment(), 40)


def test_an_invalid_schedule_is_refused_at_the_push(place: Ground) -> None:
    change = MORE.replace('"H 3 * * *"', '"* * * * * *"')
    attempt = place.begin(more=change)
    assert attempt.pushing is not None
    said = attempt.pushing.communicate(timeout=60)[0]
    assert attempt.pushing.returncode != 0
    assert "crons.quick.spec" in said
    assert "six fields" in said
    assert ".platform.app.yaml:" in said


def test_a_pause_waits_for_a_run_then_stops_it_and_the_schedule_goes_on_after_waking(place: Ground) -> None:
    every = f'    each: {{spec: "* * * * *", shutdown_timeout: 1, commands: {{start: "trap \'\' TERM; {LONG}"}}}}\n'
    assert place.push(more=f"\ncrons:\n{every}").row["state"] == "succeeded"
    wait_for("a run on schedule", lambda: place.mentions(LONG), 90)
    pause = place.person.post(at(place, "pause")).headers["location"].strip("/").rpartition("/")[2]
    wait_for("the pause", lambda: activity(place, pause)["state"] in FINAL, 60)
    assert activity(place, pause)["state"] == "succeeded", activity(place, pause)["outcome"]
    log = place.person.get(f"/projects/{place.project}/activities/{pause}/log.txt").text
    assert "The cron each runs: waiting up to 2 s for it" in log
    assert not place.mentions(LONG)
    refused = place.person.post(at(place, "crons/app/each/run"))
    assert (refused.status_code, "is paused" in refused.text) == (409, True)
    wake = place.person.post(at(place, "resume")).headers["location"].strip("/").rpartition("/")[2]
    wait_for("the wake", lambda: activity(place, wake)["state"] in FINAL, 60)
    wait_for("the next run on schedule", lambda: place.mentions(LONG), 90)
    sql = "SELECT outcome FROM deployments_cronrun WHERE cron = 'each' ORDER BY started_at"
    wait_for("both records", lambda: [row["outcome"] for row in place.instance.rows(sql)] == ["stopped", "running"], 30)
    assert place.push(more=MORE).row["state"] == "succeeded"
