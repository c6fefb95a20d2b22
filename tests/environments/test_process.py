import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from environments import process
from environments.process import CommandFailed, NotInstalled, Stopped, TimedOut, Watch


def script(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def collect(text: str, *, total: float | None = 20, silence: float | None = None) -> tuple[int, bytes]:
    said: list[bytes] = []
    code = process.stream(script(text), Watch(output=said.append, total=total, silence=silence))
    return code, b"".join(said)


def running(mark: str) -> bool:
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return any(mark in line and "ps -eo" not in line for line in found.splitlines())


def gone(mark: str) -> bool:
    deadline = time.monotonic() + 5
    while running(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running(mark)


def test_run_returns_what_was_printed() -> None:
    done = process.run(["echo", "a b"])
    assert (done.code, done.text) == (0, "a b\n")


def test_run_tells_the_exit_code_and_the_reason() -> None:
    with pytest.raises(CommandFailed) as caught:
        process.run(script("echo because >&2; exit 3"))
    assert caught.value.code == 3
    assert "because" in str(caught.value)


def test_run_is_over_when_its_time_is() -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut):
        process.run(["sleep", "60"], timeout=0.3)
    assert time.monotonic() - began < 5


def test_a_program_that_is_missing_is_named() -> None:
    for call in (process.run, lambda argv: process.stream(argv, Watch(output=lambda _: None))):
        with pytest.raises(NotInstalled, match="no-such-program-at-all"):
            call(["no-such-program-at-all"])


def test_nothing_of_our_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_SECRET_KEY", "canary")
    assert "canary" not in process.run(["env"]).text


def test_output_comes_as_it_is_printed_from_both_streams() -> None:
    times: list[float] = []
    process.stream(script("echo a; sleep 0.4; echo b >&2"), Watch(output=lambda _: times.append(time.monotonic())))
    assert len(times) == 2
    assert times[1] - times[0] > 0.3


def test_a_command_that_closes_its_output_is_still_waited_for() -> None:
    began = time.monotonic()
    code, said = collect("echo a; exec >&- 2>&-; sleep 0.5; exit 4")
    assert (code, said) == (4, b"a\n")
    assert time.monotonic() - began > 0.4


def test_a_command_that_closes_its_output_and_hangs_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut):
        collect("exec >&- 2>&-; sleep 61.5", total=0.5)
    assert time.monotonic() - began < 8
    assert gone("sleep 61.5")


def test_a_grandchild_that_keeps_the_pipe_does_not_hold_the_command() -> None:
    began = time.monotonic()
    code, said = collect("sleep 62.5 & echo done")
    assert (code, said) == (0, b"done\n")
    assert time.monotonic() - began < 30
    assert gone("sleep 62.5")


def test_silence_and_total_time_have_limits() -> None:
    with pytest.raises(TimedOut) as silent:
        collect("echo a; sleep 30", silence=0.4)
    assert silent.value.silent
    with pytest.raises(TimedOut) as total:
        collect("while :; do echo a; sleep 0.05; done", total=0.5, silence=5)
    assert not total.value.silent


def test_a_command_that_ignores_the_request_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.3)
    with pytest.raises(TimedOut):
        collect("trap '' TERM; while :; do sleep 63.5; done", total=0.3)
    assert gone("sleep 63.5")


def test_somebody_can_stop_it_with_a_reason() -> None:
    began = time.monotonic()
    later: Callable[[], str | None] = lambda: "cancelled" if time.monotonic() - began > 0.3 else None  # noqa: E731
    with pytest.raises(Stopped) as caught:
        process.stream(["sleep", "60"], Watch(output=lambda _: None, should_stop=later))
    assert caught.value.reason == "cancelled"


def test_a_hundred_megabytes_pass_through_without_being_kept() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = 0

    def count(data: bytes) -> None:
        nonlocal size
        size += len(data)

    process.stream(["head", "-c", str(100 * 1024**2), "/dev/zero"], Watch(output=count))
    assert size == 100 * 1024**2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30 * 1024


def test_children_die_with_us() -> None:
    pid = os.fork()
    if pid == 0:
        process.stream(["sleep", "64.5"], Watch(output=lambda _: None))
        os._exit(0)
    deadline = time.monotonic() + 5
    while not running("sleep 64.5") and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert gone("sleep 64.5")


def test_detached_commands_are_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    process.detach(script(f"sleep 3; touch {tmp_path}/done"))
    assert time.monotonic() - began < 2.5
    deadline = time.monotonic() + 5
    while not (tmp_path / "done").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "done").exists()
