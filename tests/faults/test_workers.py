"""F1, F2, F4 to F7, F25 and a paused worker: what is killed, stopped or doubled here is real."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from deployments.enums import Kind, State
from deployments.models import Activity, Release
from environments.models import Environment
from tests.deployments.engine import APP, FILES, Engine, log_of
from tests.deployments.pipeline.test_deploy import check_serving
from tests.faults.conftest import Plant, check_log, check_one_writer, ended, wait_for

pytestmark = pytest.mark.faults


def reached(engine: Engine, verb: str, count: int = 1) -> int:
    """Wait until a verb was begun so many times since the journal was last looked at; the pid of the last one."""

    def begun() -> list[dict[str, Any]]:
        return [entry for entry in engine.runtime.journal() if entry["verb"] == verb and entry["what"] == "begin"]

    wait_for(lambda: len(begun()) >= count)
    return int(begun()[-1]["pid"])


def count_of(engine: Engine, verb: str) -> int:
    return sum(entry["verb"] == verb and entry["what"] == "begin" for entry in engine.runtime.journal())


def sleeps(mark: str) -> bool:
    return subprocess.run(["pgrep", "-f", f"^sleep {mark}"], check=False, capture_output=True).returncode == 0


def goes(pid: int, seconds: float) -> bool:
    """Whether the process ends within that time. One that nobody has waited for yet has ended too."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_a_killed_child_costs_one_deployment_and_nothing_else(engine: Engine, plant: Plant) -> None:
    plant.start_worker()
    ended(engine.ask(Kind.ACTIVATE))
    serving = 1
    titles = {"build": "Build app", "place": "Start release", "start": "Start release", "run": "Deploy hook"}
    for verb, title in (titles | {"probe": "Probe"}).items():
        engine.runtime.hold(verb)
        before = count_of(engine, verb)
        activity = engine.push(FILES | {"serve.py": verb})
        plant.kill(reached(engine, verb, before + 1))
        ended(activity)
        engine.runtime.let_go(verb)
        assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost"), activity.outcome
        assert f"The worker was lost in step {title}" in activity.outcome
        assert activity.outcome.endswith(f"v{serving} keeps serving.")
        assert activity.outcome in log_of(activity)
        check_serving(engine, serving)
        check_log(activity)
    # After the switch there is no way back: the rest is done by another child.
    engine.runtime.hold("stop")
    before = count_of(engine, "stop")
    activity = engine.push(FILES | {"serve.py": "after"})
    plant.kill(reached(engine, "stop", before + 1))
    engine.runtime.let_go("stop")
    ended(activity)
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert activity.attempts == 2
    check_serving(engine, activity.payload["release"])
    check_log(activity)
    check_one_writer(engine, plant)


def test_a_worker_killed_whole_in_a_build_leaves_no_process_and_is_reaped_by_the_next_one(
    engine: Engine, plant: Plant
) -> None:
    worker = plant.start_worker()
    ended(engine.ask(Kind.ACTIVATE))
    mark = f"{6000 + os.getpid() % 1000}.25"
    activity = engine.push(FILES | {".platform.app.yaml": APP.replace("echo building", f"sleep {mark}")})
    wait_for(lambda: sleeps(mark))
    plant.kill_whole(worker)
    wait_for(lambda: not sleeps(mark))
    plant.start_worker()
    ended(activity)
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost")
    check_serving(engine, 1)
    check_log(activity)
    check_one_writer(engine, plant)


def test_a_paused_worker_that_wakes_up_late_changes_nothing(engine: Engine, plant: Plant) -> None:
    plant.start_worker()
    ended(engine.ask(Kind.ACTIVATE))
    engine.runtime.hold("probe")
    before = count_of(engine, "probe")
    activity = engine.push(FILES | {"serve.py": "late"})
    pid = reached(engine, "probe", before + 1)
    os.kill(pid, signal.SIGSTOP)
    paused = time.monotonic()
    ended(activity)
    assert (activity.state, activity.error_id) == (State.FAILED, "worker-lost")
    engine.runtime.let_go("probe")
    following = ended(engine.push(FILES | {"serve.py": "next"}))
    assert following.state == State.SUCCEEDED
    text = log_of(activity)
    os.kill(pid, signal.SIGCONT)
    time.sleep(1.5)
    plant.killed[pid] = paused  # for all it could do, it was dead from then on
    activity.refresh_from_db()
    assert (activity.state, activity.error_id, log_of(activity)) == (State.FAILED, "worker-lost", text)
    check_serving(engine, following.payload["release"])
    assert Release.objects.get(activity=activity).state == Release.State.FAILED


def test_a_queue_that_is_emptied_loses_nothing_and_doubles_nothing(engine: Engine, plant: Plant) -> None:
    plant.start_worker()
    environments = list(engine.project.environments.order_by("pk"))
    engine.runtime.hold("build")
    activities = [engine.ask(Kind.ACTIVATE, environment) for environment in environments]
    activities += [engine.ask(Kind.REDEPLOY, environment) for environment in environments]
    reached(engine, "build")
    plant.flush_redis()
    engine.runtime.let_go("build")
    for activity in activities:
        assert ended(activity, 40).state == State.SUCCEEDED, activity.outcome
        assert activity.attempts == 1
        check_log(activity)
    for environment in environments:
        environment.refresh_from_db()
        assert engine.served_by(environment) == 2
        numbers = Activity.objects.filter(environment=environment).order_by("started_at").values_list("kind", flat=True)
        assert list(numbers) == [Kind.ACTIVATE, Kind.REDEPLOY]


def test_pushes_are_taken_while_redis_is_away_and_deployed_when_it_is_back(engine: Engine, plant: Plant) -> None:
    plant.start_worker()
    ended(engine.ask(Kind.ACTIVATE))
    plant.stop_redis()
    began = time.monotonic()
    first = engine.push(FILES | {"serve.py": "one"})
    assert time.monotonic() - began < 10
    assert first.state == State.PENDING
    time.sleep(2)
    plant.start_redis()
    assert ended(first, 15).state == State.SUCCEEDED
    check_serving(engine, 2)
    check_one_writer(engine, plant)


def test_an_activity_longer_than_the_brokers_patience_runs_once(engine: Engine, plant: Plant) -> None:
    plant.start_worker(SLIPWAY_VISIBILITY_TIMEOUT="1")
    sleeping = APP.replace("echo deploying", "sleep 6")
    Environment.objects.filter(pk=engine.environment.pk).update(
        head_commit=engine.commit(FILES | {".platform.app.yaml": sleeping})
    )
    activity = ended(engine.ask(Kind.ACTIVATE))
    assert (activity.state, activity.attempts) == (State.SUCCEEDED, 1)
    assert count_of(engine, "run") == 1
    check_one_writer(engine, plant)


def test_two_workers_with_two_timetables_run_each_activity_once(engine: Engine, plant: Plant) -> None:
    plant.start_worker()
    plant.start_worker()
    ended(engine.ask(Kind.ACTIVATE))
    pushes = [engine.push(FILES | {"serve.py": str(number)}) for number in range(5)]
    for activity in pushes:
        assert ended(activity, 40).state == State.SUCCEEDED
        assert activity.attempts == 1
    starts = [activity.started_at for activity in pushes]
    assert starts == sorted(starts, key=lambda at: at.timestamp() if at else 0)
    check_serving(engine, 6)
    check_one_writer(engine, plant)


def test_a_killed_worker_process_leaves_its_child_to_finish_or_be_reaped(engine: Engine, plant: Plant) -> None:
    """Only the worker's main process dies; the child at work may go on, but nobody works beside it."""
    worker = plant.start_worker()
    ended(engine.ask(Kind.ACTIVATE))
    activity = engine.push(FILES | {".platform.app.yaml": APP.replace("echo deploying", "sleep 3")})
    child = reached(engine, "run", 2)
    os.kill(worker.pid, signal.SIGKILL)
    if goes(child, 2):
        plant.killed[child] = time.monotonic()
    plant.start_worker()
    ended(activity)
    check_serving(engine, 2 if activity.state == State.SUCCEEDED else 1)
    check_log(activity)
    check_one_writer(engine, plant)
