import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import guard, processes
from launcher.processes import Process

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    *(sys.executable, "-c"),
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]
PARENT = [
    *(sys.executable, "-c"),
    "import os, subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], env={});"
    "print('up', flush=True); import time; time.sleep(60)",
]


class Nursery:
    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, command: list[str], **environ: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        self.started.append(process)
        return process


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    for process in found.started:
        process.kill()
        process.wait()


def process(
    pid: int,
    parent: int = 1,
    uid: int = 7,
    arguments: tuple[str, ...] = ("x",),
    instance: str = "",
    program: str = "",
) -> Process:
    return Process(pid, parent, "0", uid, arguments, instance, program)


def belonging(*everything: Process, members: tuple[int, ...] = ()) -> set[int]:
    found = processes.belonging(
        {one.pid: one for one in everything},
        instance="i",
        roots={"/home/one", "/run/slipway/i"},
        uid=7,
        members=members,
    )
    return {one.pid for one in found}


def test_marked_processes_and_their_children_belong() -> None:
    assert belonging(
        process(10, instance="i"),
        process(11, parent=10),
        process(12, parent=11),
        process(13, instance="j"),
        process(14),
    ) == {10, 11, 12}


def test_members_of_the_control_group_belong() -> None:
    assert belonging(process(10), process(11), members=(11, 99)) == {11}


@pytest.mark.parametrize(
    "arguments",
    [
        ("/usr/bin/bwrap", "--bind", "/home/one/slugs/x", "/app"),
        ("redis-server unixsocket:/home/one/run/redis.sock",),
        ("nginx: master process nginx -c /run/slipway/i/nginx.conf",),
        ("/usr/sbin/mariadbd", "--datadir=/home/one/environments/x"),
        ("supervisord", "--directory", "/home/one"),
    ],
)
def test_own_programs_with_a_path_below_the_home_belong(arguments: tuple[str, ...]) -> None:
    assert belonging(process(10, arguments=arguments)) == {10}


@pytest.mark.parametrize(
    ("arguments", "uid"),
    [
        (("vim", "/home/one/log/web.log"), 7),
        (("/usr/bin/bwrap", "--bind", "/home/one/slugs/x", "/app"), 8),
        (("/usr/bin/bwrap", "--bind", "/home/one-other/slugs/x", "/app"), 7),
        (("/home/one/venv/x/bin/python", "manage.py", "shell"), 7),
    ],
)
def test_what_people_do_with_files_of_the_home_does_not_belong(arguments: tuple[str, ...], uid: int) -> None:
    assert belonging(process(10, arguments=arguments, uid=uid)) == set()


def test_stop_never_ends_itself_or_its_parents() -> None:
    assert belonging(
        process(os.getpid(), parent=5, instance="i"), process(5, instance="i"), process(6, instance="i")
    ) == {6}


def test_reading_proc(nursery: Nursery) -> None:
    started = nursery.start(SLEEP, SLIPWAY_INSTANCE="abc", SLIPWAY_PROGRAM="web")
    found = processes.snapshot()[started.pid]
    assert (found.instance, found.program, found.parent, found.uid) == (
        "abc",
        "web",
        os.getpid(),
        os.geteuid(),
    )
    assert found.arguments[1] == "-c"
    started.kill()
    time.sleep(0.1)
    assert processes.read(started.pid) is None  # a zombie until its parent looks


def test_end_asks_first(nursery: Nursery) -> None:
    started = nursery.start(SLEEP)
    found = processes.read(started.pid)
    assert found
    processes.end([found])
    assert started.wait() == -signal.SIGTERM


def test_end_kills_what_does_not_listen(nursery: Nursery) -> None:
    started = nursery.start(STUBBORN)
    found = processes.read(started.pid)
    assert found
    processes.end([found], patience=0.3)
    assert started.wait() == -signal.SIGKILL


def test_end_leaves_a_process_that_took_over_the_id(nursery: Nursery) -> None:
    started = nursery.start(SLEEP)
    found = processes.read(started.pid)
    assert found
    earlier = Process(found.pid, found.parent, "1", found.uid, found.arguments, "", "")
    processes.end([earlier], patience=0.3)
    assert started.poll() is None


def test_children_without_a_marker_are_found_in_proc(nursery: Nursery) -> None:
    started = nursery.start(PARENT, SLIPWAY_INSTANCE="children-test")
    found = processes.belonging(processes.snapshot(), instance="children-test", roots=(), uid=os.geteuid())
    assert len(found) == 2
    processes.end(found)
    assert started.wait() == -signal.SIGTERM


def test_guard_ends_what_the_last_one_left_and_becomes_the_program(nursery: Nursery, tmp_path: Path) -> None:
    marks = {"SLIPWAY_INSTANCE": f"guard-{os.getpid()}", "SLIPWAY_PROGRAM": "web"}
    orphan = nursery.start(SLEEP, **marks)
    other = nursery.start(SLEEP, SLIPWAY_INSTANCE=marks["SLIPWAY_INSTANCE"], SLIPWAY_PROGRAM="ssh")
    (tmp_path / "web.sock").write_text("")
    (tmp_path / "environ.json").write_text('{"GREETING": "hello \\"%\\""}')
    command = [str(tmp_path / "environ.json"), str(tmp_path / "web.sock"), "-c"]
    shown = "import os; print(os.environ['GREETING'], os.environ['SLIPWAY_PROGRAM'], 'SECRET' in os.environ)"
    result = subprocess.run(
        [sys.executable, "-m", "launcher.guard", *command, shown],
        env={**marks, "SECRET": "x"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.splitlines() == [
        "ending 1 processes that the last one left behind",
        'hello "%" web False',
    ]
    assert orphan.wait() == -signal.SIGTERM
    assert other.poll() is None
    assert not (tmp_path / "web.sock").exists()


def test_guard_without_marks_ends_nothing() -> None:
    assert guard.left_by("", "") == []
