"""Crons as runtimes run them: the contract of both, and real runs in sandboxes under a clock of the test's own."""

import json
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from environments.process import Stopped, Watch
from environments.runtimes.base import ReleaseSpec, RuntimeFailure
from environments.runtimes.crons import Outcome, Run, Trigger
from environments.runtimes.local import cron as scheduler_module
from environments.runtimes.local.layout import Layout
from environments.runtimes.local.programs import live_mark

from .apps import FILES, PYTHON
from .make import Maker, drop_to_user

QUIET = Watch(output=lambda _: None)


def until(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    return condition()


def app(**crons: Any) -> str:
    entries = {
        name: {"spec": "0 0 1 1 *", "commands": {"start": start}} if isinstance(start, str) else start
        for name, start in crons.items()
    }
    return PYTHON + "crons: " + json.dumps(entries) + "\n"


def ended(runtime: Any, maker: Maker, id: str, seconds: float = 20) -> Run:
    found: Run = until(lambda: (run := runtime.crons.find(maker.place, id)) and run.ended and run, seconds)
    assert found, runtime.crons.runs(maker.place)
    return found


@pytest.fixture
def living(runtime: Any, maker: Maker) -> Callable[..., ReleaseSpec]:
    """Makes a release that serves."""

    def make(text: str, number: int = 1) -> ReleaseSpec:
        release = maker.release(text, FILES, number=number)
        runtime.place(release)
        runtime.start(release)
        mark = live_mark(runtime.front(release))
        mark.touch()
        if runtime.name == "local":
            assert until(lambda: list(Layout(maker.home, maker.place).release_sockets(number).glob("k*.sock")))
        return release

    return make


def test_a_run_leaves_its_output_and_how_it_ended_until_it_is_forgotten(
    runtime: Any, maker: Maker, living: Callable[..., ReleaseSpec]
) -> None:
    living(app(tick="echo hello\nexit 3"))
    for _ in range(2):  # asked again with the same id it is the same run
        runtime.crons.start(maker.place, 1, "app", "tick", id="first0", by="Mara")
    run = ended(runtime, maker, "first0")
    assert (run.outcome, run.code, run.trigger, run.by) == (Outcome.FAILED, 3, Trigger.PERSON, "Mara")
    assert runtime.crons.output(maker.place, "first0") == b"hello\n"
    assert runtime.crons.output(maker.place, "first0", after=3) == b"lo\n"
    assert [each.id for each in runtime.crons.runs(maker.place)] == ["first0"]
    for _ in range(2):
        runtime.crons.forget(maker.place, ["first0"])
    assert list(runtime.crons.runs(maker.place)) == []


def test_a_cron_that_is_not_there_is_refused(runtime: Any, maker: Maker, living: Callable[..., ReleaseSpec]) -> None:
    living(app(tick="echo hello"))
    with pytest.raises(RuntimeFailure) as caught:
        runtime.crons.start(maker.place, 1, "app", "tock", id="first0", by="Mara")
    assert caught.value.error_id == "cron-unknown"


WAITS = {"local": "echo begun; sleep 60", "fake": "wait"}


def test_one_cron_runs_once_at_a_time_and_is_stopped(
    runtime: Any, maker: Maker, living: Callable[..., ReleaseSpec]
) -> None:
    living(app(long=WAITS[runtime.name], other="echo beside"))
    runtime.crons.start(maker.place, 1, "app", "long", id="long01", by="Mara")
    assert until(lambda: runtime.crons.find(maker.place, "long01"))
    with pytest.raises(RuntimeFailure) as caught:
        runtime.crons.start(maker.place, 1, "app", "long", id="long02", by="Mara")
    assert caught.value.error_id == "cron-busy"
    runtime.crons.start(maker.place, 1, "app", "other", id="other1", by="Mara")
    assert ended(runtime, maker, "other1").outcome is Outcome.SUCCEEDED
    runtime.crons.forget(maker.place, ["long01"])
    assert runtime.crons.find(maker.place, "long01").ended is None
    for _ in range(2):
        runtime.crons.stop(maker.place, "long01", why="By Mara")
    run = ended(runtime, maker, "long01")
    assert (run.outcome, run.note) == (Outcome.STOPPED, "By Mara")


def test_quiet_waits_then_ends_what_runs_and_wakes(
    runtime: Any, maker: Maker, living: Callable[..., ReleaseSpec]
) -> None:
    living(app(long=WAITS[runtime.name]))
    runtime.crons.start(maker.place, 1, "app", "long", id="long01", by="Mara")
    assert until(lambda: runtime.crons.find(maker.place, "long01"))
    said: list[bytes] = []
    runtime.crons.quiet(maker.place, Watch(output=said.append), patience=0.5, lease=60, why="For a deployment")
    text = b"".join(said).decode()
    assert "The cron long runs: waiting up to 0.5 s for it" in text
    assert "long did not end within 0.5 s and is being stopped" in text
    assert runtime.crons.find(maker.place, "long01").outcome is Outcome.STOPPED
    assert runtime.crons.quiet_until(maker.place) > time.time() + 30
    for _ in range(2):
        runtime.crons.wake(maker.place)
    assert runtime.crons.quiet_until(maker.place) is None


def test_waiting_for_quiet_can_be_cancelled(runtime: Any, maker: Maker, living: Callable[..., ReleaseSpec]) -> None:
    living(app(long=WAITS[runtime.name]))
    runtime.crons.start(maker.place, 1, "app", "long", id="long01", by="Mara")
    assert until(lambda: runtime.crons.find(maker.place, "long01"))
    watch = Watch(output=lambda _: None, should_stop=lambda: "cancelled")
    with pytest.raises(Stopped):
        runtime.crons.quiet(maker.place, watch, patience=60, lease=60, why="For a deployment")
    assert runtime.crons.find(maker.place, "long01").ended is None


def test_an_environment_without_crons_is_quiet_at_once(runtime: Any, maker: Maker) -> None:
    runtime.crons.quiet(maker.place, QUIET, patience=60, lease=60, why="For a deployment")
    runtime.crons.wake(maker.place)
    for allowed in (False, False, True, True):
        runtime.crons.allow(maker.place, allowed)
    assert list(runtime.crons.runs(maker.place)) == []


# -- what only the real one does ------------------------------------------------------------------------------------


@pytest.fixture
def runs_now(local: Any, maker: Maker) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts the scheduler of a release by hand, under a clock that shows a few seconds before a full minute."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(text: str, *, number: int = 1, at: str = "int(real()) // 60 * 60 + 58.0") -> "subprocess.Popen[bytes]":
        release = maker.release(text, FILES, number=number)
        local.place(release)
        live_mark(local.front(release)).touch()
        code = textwrap.dedent(f"""
            import sys, time, runpy
            real = time.time
            begin, first = real(), {at}
            time.time = lambda: first + (real() - begin)
            sys.argv = sys.argv[1:]
            runpy.run_path(sys.argv[0], run_name="__main__")
        """)
        layout = Layout(maker.home, maker.place)
        argv = ["/usr/bin/python3", "-IS", "-c", code, scheduler_module.__file__]
        log = (maker.home.root / f"scheduler-{maker.key}.log").open("ab")
        process = subprocess.Popen(
            [*drop_to_user(), *argv, str(layout.release(number) / "crons0.json")],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PATH": "/usr/bin:/bin"},
        )
        begun.append(process)
        return process

    yield start
    for process in begun:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()


def log_of(maker: Maker) -> str:
    return (maker.home.root / f"scheduler-{maker.key}.log").read_text()


def each(cron: str, runs: Any) -> list[Run]:
    return [run for run in runs if run.cron == cron]


def test_crons_that_are_due_together_run_side_by_side(local: Any, maker: Maker, runs_now: Any) -> None:
    every = {"spec": "* * * * *"}
    script = "echo $$ started; sleep 3"
    runs_now(app(one=every | {"commands": {"start": script}}, two=every | {"commands": {"start": script}}))
    assert until(lambda: len([run for run in local.crons.runs(maker.place) if run.ended is None]) == 2)
    found = until(lambda: [run for run in local.crons.runs(maker.place) if run.ended] or None)
    assert {run.trigger for run in found} == {Trigger.SCHEDULE}
    assert "cron one started" in log_of(maker)
    assert "one | " in log_of(maker)


def test_a_cron_that_runs_too_long_is_asked_by_its_stop_command(local: Any, maker: Maker, runs_now: Any) -> None:
    start = "until [ -e /tmp/stop ]; do sleep 0.1; done; echo asked; exit 5"
    entry = {
        "spec": "* * * * *",
        "timeout": 1,
        "commands": {"start": start, "stop": "touch /tmp/stop"},
    }
    runs_now(app(tick=entry))
    run = until(lambda: next((run for run in local.crons.runs(maker.place) if run.ended), None))
    assert (run.outcome, run.code) == (Outcome.TIMEOUT, 5)
    assert local.crons.output(maker.place, run.id) == b"asked\n"
    assert run.note == "It ran longer than 1 s"


def test_a_cron_that_will_not_end_is_killed_with_all_that_it_began(local: Any, maker: Maker, runs_now: Any) -> None:
    start = "trap '' TERM; setsid sleep 7654.25 & sleep 7654.25; sleep 7654.25"
    runs_now(app(tick={"spec": "* * * * *", "timeout": 1, "shutdown_timeout": 1, "commands": {"start": start}}))
    run = until(lambda: next((run for run in local.crons.runs(maker.place) if run.ended), None))
    assert (run.outcome, run.code) == (Outcome.TIMEOUT, 137)
    assert until(lambda: subprocess.run(["pgrep", "-f", "sleep 7654.25"], check=False).returncode == 1, 5)


def test_a_killed_scheduler_takes_its_runs_with_it_and_the_next_one_says_so(
    local: Any, maker: Maker, runs_now: Any
) -> None:
    text = app(tick={"spec": "* * * * *", "commands": {"start": "setsid sleep 7655.25 & sleep 7655.25"}})
    process = runs_now(text)
    run = until(lambda: next(iter(local.crons.runs(maker.place)), None))
    assert run.ended is None
    assert until(lambda: subprocess.run(["pgrep", "-f", "sleep 7655.25"], check=False).returncode == 0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert until(lambda: subprocess.run(["pgrep", "-f", "sleep 7655.25"], check=False).returncode == 1, 5)
    runs_now(text, number=2, at="int(real()) // 60 * 60 + 5.0")
    assert ended(local, maker, run.id).outcome is Outcome.LOST


def test_the_end_of_the_scheduler_is_the_end_of_its_runs(local: Any, maker: Maker, runs_now: Any) -> None:
    process = runs_now(
        app(tick={"spec": "* * * * *", "commands": {"start": "trap 'echo bye; exit 4' TERM; sleep 60 & wait"}})
    )
    run = until(lambda: next(iter(local.crons.runs(maker.place)), None))
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    run = ended(local, maker, run.id)
    assert (run.outcome, run.code) == (Outcome.STOPPED, 4)
    assert local.crons.output(maker.place, run.id) == b"bye\n"


def test_two_releases_never_both_run_crons(local: Any, maker: Maker, runs_now: Any) -> None:
    text = app(tick={"spec": "* * * * *", "commands": {"start": "true"}})
    first = runs_now(text)
    runs_now(text, number=2)
    assert until(lambda: [run for run in local.crons.runs(maker.place) if run.ended])
    time.sleep(1)
    assert len(local.crons.runs(maker.place)) == 1
    first.send_signal(signal.SIGTERM)
    first.wait(15)
    with pytest.raises(RuntimeFailure):
        local.crons.start(maker.place, 1, "app", "tick", id="asked1", by="Mara")
    assert until(lambda: list(Layout(maker.home, maker.place).release_sockets(2).glob("k*.sock")))
    local.crons.start(maker.place, 2, "app", "tick", id="asked1", by="Mara")
    assert ended(local, maker, "asked1").release == 2


def test_quiet_delays_the_schedule_and_switching_off_leaves_it_out(local: Any, maker: Maker, runs_now: Any) -> None:
    entry = {"spec": "* * * * *", "commands": {"start": "true"}}
    # The clock of the scheduler is ahead of ours by at most a minute.
    local.crons.quiet(maker.place, QUIET, patience=1, lease=300, why="For a deployment")
    runs_now(app(tick=entry))
    time.sleep(4)
    assert list(local.crons.runs(maker.place)) == []
    local.crons.wake(maker.place)
    assert until(lambda: local.crons.runs(maker.place))


def test_what_is_switched_off_is_left_out_but_people_may_run_it(local: Any, maker: Maker, runs_now: Any) -> None:
    local.crons.allow(maker.place, False)
    runs_now(app(tick={"spec": "* * * * *", "commands": {"start": "true"}}))
    time.sleep(4)
    local.crons.allow(maker.place, True)
    assert list(local.crons.runs(maker.place)) == []
    local.crons.allow(maker.place, False)
    local.crons.start(maker.place, 1, "app", "tick", id="asked1", by="Mara")
    assert ended(local, maker, "asked1").outcome is Outcome.SUCCEEDED


def test_a_forgotten_quiet_ends_by_itself(local: Any, maker: Maker, runs_now: Any) -> None:
    local.crons.quiet(maker.place, QUIET, patience=1, lease=1, why="For a deployment")
    # The clock of the scheduler is ahead of ours by at most a minute.
    runs_now(app(tick={"spec": "* * * * *", "commands": {"start": "true"}}))
    assert until(lambda: local.crons.runs(maker.place))


def test_long_output_lacks_its_middle(local: Any, maker: Maker, runs_now: Any) -> None:
    runs_now(app(tick={"spec": "* * * * *", "commands": {"start": "seq 1 100000"}}))
    run = until(lambda: next((run for run in local.crons.runs(maker.place) if run.ended), None))
    output = local.crons.output(maker.place, run.id)
    assert output.startswith(b"1\n2\n3\n")
    assert output.endswith(b"99999\n100000\n")
    assert b"bytes are left out here]" in output
    assert len(output) < 260 * 1024


def test_a_run_sees_no_record_of_others(local: Any, maker: Maker, runs_now: Any) -> None:
    script = f"ls {maker.home.root} /app/../crons 2>&1; echo $OWN; cat /proc/1/cmdline | tr '\\0' ' '; ls /run/slipway"
    runs_now(app(tick={"spec": "* * * * *", "commands": {"start": script}}))
    run = until(lambda: next((run for run in local.crons.runs(maker.place) if run.ended), None))
    said = local.crons.output(maker.place, run.id).decode()
    assert str(maker.home.root) not in said.replace(f"cannot access '{maker.home.root}'", "")
    assert ".json" not in said


# -- the clock ------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


def ticking(clock: Clock, tmp_path: Path, spec: str = "* * * * *") -> scheduler_module.Scheduler:
    from environments.manifest import schedule

    entry = {"name": "tick", "label": "x", "start": "", "stop": None, "timeout": 9, "shutdown_timeout": 9, "spec": spec}
    given = {
        "timezone": "UTC",
        "schedule": schedule.__file__,
        "folder": str(tmp_path),
        "off": str(tmp_path / "off"),
        "crons": [entry],
    }
    return scheduler_module.Scheduler(given, clock)


NOON = 1_800_014_400  # a full hour


def due(scheduler: scheduler_module.Scheduler) -> int:
    scheduler.collect()
    found = len(scheduler._waiting)
    scheduler._waiting.clear()
    return found


def test_a_machine_that_slept_makes_up_for_minutes_and_once(tmp_path: Path) -> None:
    clock = Clock(NOON + 1)
    often, seldom = ticking(clock, tmp_path), ticking(clock, tmp_path, "3 * * * *")
    assert due(often) == due(seldom) == 0
    clock.at = NOON + 4 * 60
    assert due(often) == due(seldom) == 1
    clock.at = NOON + 9 * 3600 + 30 * 60  # a night, with nine times of `seldom` in it
    assert (due(often), due(seldom)) == (1, 0)


def test_a_clock_that_is_put_back_repeats_no_minute_and_stops_nothing(tmp_path: Path) -> None:
    clock = Clock(NOON + 61)
    scheduler = ticking(clock, tmp_path)
    clock.at = NOON + 121
    assert due(scheduler) == 1
    clock.at = NOON + 61
    assert due(scheduler) == 0
    clock.at = NOON + 121
    assert due(scheduler) == 0
    clock.at = NOON - 3600
    assert due(scheduler) == 0
    clock.at = NOON - 3600 + 60
    assert due(scheduler) == 1
