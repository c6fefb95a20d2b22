"""The scheduler that runs in an app's sandbox."""

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from croniter import croniter

from environments.runtimes.local import cron

START = datetime.datetime(2026, 2, 27, 22, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "spec",
    [
        "* * * * *",
        "*/7 * * * *",
        "5 3 * * *",
        "0,30 8-17/3 * * 1-5",
        "0 0 1 * *",
        "0 0 28-31 2,3 *",
        "15 4 1,15 * 5",
        "0 12 * * 0",
        "0 12 * * 7",
        "10-50/20 */2 * */2 *",
    ],
)
def test_schedules_match_the_minutes_that_crontab_means(spec: str) -> None:
    minutes = range(60 * 24) if "/7" in spec else range(0, 60 * 24 * 35, 35)
    for minute in minutes:
        moment = START + datetime.timedelta(minutes=minute)
        assert cron.matches(spec, moment) == croniter.match(spec, moment), moment


def scheduler(tmp_path: Path, **entry: object) -> "subprocess.Popen[str]":
    """A scheduler that finds its one cron due at once: its last look at the clock was a minute ago."""
    crons = tmp_path / "crons.json"
    defaults = {"name": "tick", "spec": "* * * * *", "stop": None, "timeout": 60, "shutdown_timeout": 1}
    crons.write_text(json.dumps({"timezone": "Europe/Paris", "crons": [defaults | entry]}))
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[2]); import cron; real = time.time; began = real();"
        "time.time = lambda: (began // 60) * 60 + 59.5 + (real() - began); cron.main(sys.argv[1])"
    )
    folder = str(Path(cron.__file__).parent)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(crons), folder], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )


def ended(process: "subprocess.Popen[str]", after: float) -> str:
    time.sleep(after)
    process.send_signal(signal.SIGTERM)
    return process.communicate(timeout=10)[0]


def test_a_cron_runs_with_the_environment_file_and_its_end_is_written_down(tmp_path: Path) -> None:
    (tmp_path / ".environment").write_text("export WORD=hello\n")
    said = ended(scheduler(tmp_path, start="echo $WORD > out; exit 3"), 2.5)
    assert (tmp_path / "out").read_text() == "hello\n"
    assert "cron tick started" in said
    assert "cron tick ended with exit code 3" in said


def test_a_cron_that_runs_too_long_is_asked_to_end_and_then_made_to(tmp_path: Path) -> None:
    said = ended(scheduler(tmp_path, start="trap '' TERM; sleep 68.5 & wait; wait; sleep 68.5", timeout=1), 4.5)
    assert "ran longer than 1 s" in said
    assert "was killed by signal 9" in said


def test_the_stop_command_is_what_asks_it(tmp_path: Path) -> None:
    said = ended(
        scheduler(tmp_path, start="until [ -e stop ]; do sleep 0.1; done; exit 5", stop="touch stop", timeout=1), 4
    )
    assert "ended with exit code 5" in said


def test_the_end_of_the_scheduler_is_the_end_of_its_cron(tmp_path: Path) -> None:
    process = scheduler(tmp_path, start="echo $$ > pid; exec sleep 69.5")
    said = ended(process, 2)
    assert "is being stopped" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
