"""Programs of a release on this host: workers, crons, mounts, hooks, crashes, limits."""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from environments import edge
from environments.process import Watch
from environments.runtimes.base import RuntimeFailure
from environments.runtimes.local.layout import Layout
from environments.runtimes.local.programs import live_mark
from environments.runtimes.local.supervisor import Supervisor

from .apps import FILES, PHP, PHP_FILES, PYTHON
from .make import Maker, get

QUIET = Watch(output=lambda _: None)


def said(local: Any, release: Any, script: str, program: str = "app") -> str:
    output: list[bytes] = []
    assert local.run(release, program, script, Watch(output=output.append, total=30)) == 0
    return b"".join(output).decode()


def log(maker: Maker, name: str) -> str:
    path = Layout(maker.home, maker.place).logs / name
    return path.read_text() if path.exists() else ""


def until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def test_hooks_see_the_programs_environment_and_their_own_environment_file(local: Any, maker: Maker) -> None:
    release = maker.release(
        PYTHON, {**FILES, ".environment": "export OWN=from-file GIVEN=$GIVEN-changed\n"}, env={"GIVEN": "x"}
    )
    assert said(local, release, 'echo "$OWN $GIVEN $PORT $HOME $PWD"') == (
        f"from-file x-changed {release.programs[0].port} /app /app\n"
    )
    assert said(local, release, "python --version; pip --version").startswith("Python 3.11")


def test_line_numbers_of_a_script_are_those_of_the_file(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    output: list[bytes] = []
    assert local.run(release, "app", "true\nno-such-command", Watch(output=output.append)) == 127
    assert b"2: no-such-command: not found" in b"".join(output)


def test_a_hook_fails_only_if_its_last_command_does(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    assert local.run(release, "app", "false\ntrue", QUIET) == 0
    assert local.run(release, "app", "true\nfalse", QUIET) == 1


def test_the_slug_is_read_only_and_mounts_are_kept(local: Any, maker: Maker) -> None:
    app = PYTHON + "disk: 256\nmounts: {var/data: {source: local, source_path: d}, cache: {source: tmp}}\n"
    release = maker.release(app, FILES)
    script = "touch x 2>/dev/null && echo wrote-slug; echo kept > var/data/f; echo c > cache/f; cat var/data/f cache/f"
    assert said(local, release, script) == "kept\nc\n"
    second = maker.release(app, FILES, number=2)
    assert said(local, second, "cat var/data/f; ls cache") == "kept\n"


@pytest.mark.parametrize("path", ["var/data", "link/data"])
def test_a_link_in_the_way_of_a_mount_is_refused(local: Any, maker: Maker, path: str) -> None:
    release = maker.release(PYTHON + f"disk: 256\nmounts: {{{path}: {{source: local}}}}\n", FILES)
    slug = release.programs[0].slug
    (slug / path.split("/")[0]).symlink_to("/tmp")
    with pytest.raises(RuntimeFailure) as caught:
        local.place(release)
    assert caught.value.error_id == "mount-blocked"
    assert path in caught.value.message


def test_a_mount_that_was_swapped_for_a_link_is_not_followed(local: Any, maker: Maker) -> None:
    mounts = "mounts: {outer: {source: local, source_path: a}, inner: {source: local, source_path: a/b}}\n"
    release = maker.release(PYTHON + "disk: 256\n" + mounts, FILES)
    assert said(local, release, "rmdir outer/b 2>/dev/null; rm -rf outer/b; ln -s /etc outer/b; echo ok") == "ok\n"
    with pytest.raises(RuntimeFailure):
        local.run(release, "app", "ls inner", QUIET)


WORKER = """
name: app
type: 'python:3.11'
disk: 256
mounts: {data: {source: local}}
web: {commands: {start: "exec python server.py"}}
workers: {queue: {commands: {start: "trap 'echo bye; exit' TERM; echo working; while :; do sleep 0.05; done"}}}
crons: {tick: {spec: "* * * * *", cmd: "echo tick"}}
"""


def test_workers_begin_when_the_release_goes_live_and_end_well(local: Any, maker: Maker, settings: Any) -> None:
    settings.HOME = maker.home
    release = maker.release(WORKER, FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok
    time.sleep(0.5)
    assert "working" not in log(maker, "app-queue-") + "".join(
        path.read_text() for path in Layout(maker.home, maker.place).logs.glob("*queue*")
    )
    edge.switch(["a.localhost"], local.front(release))
    assert live_mark(local.front(release)).exists()
    worker_log = lambda: "".join(path.read_text() for path in Layout(maker.home, maker.place).logs.glob("*queue*"))  # noqa: E731
    assert until(lambda: "working" in worker_log())
    assert local.healthy(release)
    local.stop(maker.place, 1)
    assert "bye" in worker_log()


def test_an_app_that_never_listens_is_told_where_it_must(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON.replace("exec python server.py", "echo hello; sleep 60"), FILES)
    local.place(release)
    local.start(release)
    began = time.monotonic()
    probe = local.probe(release, timeout=1.5, watch=QUIET)
    assert not probe.ok
    assert f"listen on port {release.programs[0].port}, given to it in $PORT" in probe.reason
    assert "hello" in probe.reason
    assert time.monotonic() - began < 30


def test_an_app_that_ends_again_and_again_is_not_waited_for(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON.replace("exec python server.py", "echo no database; exit 1"), FILES)
    local.place(release)
    local.start(release)
    began = time.monotonic()
    probe = local.probe(release, timeout=60, watch=QUIET)
    assert not probe.ok
    assert "no database" in probe.reason
    assert time.monotonic() - began < 15
    assert not local.healthy(release) or until(lambda: not local.healthy(release), 3)


def test_an_app_that_is_slow_to_start_is_waited_for(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON.replace("exec python", "sleep 1.5; exec python"), FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok


def test_an_app_that_dies_is_started_again(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok
    time.sleep(1.2)
    first = json.loads(get(local.front(release)).body)["env"]
    assert "PORT" in first
    pids = subprocess.run(["pgrep", "-f", "python.*server.py"], capture_output=True, text=True).stdout.split()
    ours = [pid for pid in pids if f"PORT={release.programs[0].port}".encode() in environ(pid)]
    for pid in ours:
        os.kill(int(pid), 9)
    assert local.probe(release, timeout=20, watch=QUIET).ok


def environ(pid: str) -> bytes:
    with contextlib.suppress(OSError):
        return Path("/proc", pid, "environ").read_bytes()
    return b""


def test_pre_start_and_post_start_run_around_the_start(local: Any, maker: Maker) -> None:
    app = PYTHON.replace(
        'start: "exec', 'pre_start: "echo before > data/a; false", post_start: "cat data/a > data/b", start: "exec'
    )
    release = maker.release(app + "disk: 256\nmounts: {data: {source: local}}\n", FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok
    assert until(lambda: "before" in said(local, release, "cat data/b 2>/dev/null; cat data/a"))


def test_hosts_of_services_and_additional_hosts_are_known(local: Any, maker: Maker) -> None:
    app = PYTHON + "additional_hosts: {api.example.com: 192.0.2.1}\n"
    release = maker.release(app, FILES, hosts={"database.internal": "127.64.0.9"})
    assert "127.64.0.9" in said(local, release, "getent hosts database.internal")
    assert "192.0.2.1" in said(local, release, "getent hosts api.example.com")


def test_logs_are_seen_by_the_app_where_it_expects_them(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok
    get(local.front(release), "/look-for-this")
    assert until(lambda: "look-for-this" in said(local, release, "cat /var/log/app.log"))
    assert until(lambda: "look-for-this" in said(local, release, "cat /var/log/access.log"))


def test_hooks_leave_their_output_in_logs_that_the_app_sees(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    local.place(release)
    for number in (1, 2):
        local.run(release, "app", f"echo deployed {number}; exit 3", QUIET, log="deploy")
    local.run(release, "app", "echo warmed up", QUIET, log="post_deploy")
    assert said(local, release, "cat /var/log/deploy.log /var/log/post_deploy.log") == (
        "deployed 1\ndeployed 2\nwarmed up\n"
    )


def test_what_post_start_says_stands_in_the_apps_log(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON.replace("start:", "post_start: 'echo warm; false', start:"), FILES)
    local.place(release)
    local.start(release)
    assert "warm\npost_start failed\n" in said(local, release, "cat /var/log/app.log")


def test_php_reads_its_settings_on_the_command_line_too(local: Any, maker: Maker) -> None:
    release = maker.release(PHP, {**PHP_FILES, "php.ini": "date.timezone = Europe/Paris\n"})
    assert (
        said(local, release, 'php -r \'echo ini_get("memory_limit"), ini_get("date.timezone");\'') == "77MEurope/Paris"
    )


def test_a_folder_called_php_ini_is_no_php_ini(local: Any, maker: Maker) -> None:
    release = maker.release(PHP, {**PHP_FILES, "php.ini/readme": "date.timezone = Europe/Paris\n"})
    assert said(local, release, "php -r 'echo ini_get(\"memory_limit\");'") == "77M"


def test_a_hook_without_end_is_stopped_by_time_and_by_silence(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    for watch, error_id in (
        (Watch(output=lambda _: None, total=0.5), "time-limit"),
        (Watch(output=lambda _: None, silence=0.5), "silence-limit"),
    ):
        with pytest.raises(RuntimeFailure) as caught:
            local.run(release, "app", "trap '' TERM; (setsid sleep 65.5 &) ; exec >&- 2>&-; sleep 65.5", watch)
        assert caught.value.error_id == error_id
    assert until(lambda: not subprocess.run(["pgrep", "-f", "sleep 65.5"], capture_output=True).stdout)


def test_a_removal_that_was_cut_off_can_be_repeated(local: Any, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    release = maker.release(PYTHON, FILES)
    local.place(release)
    local.start(release)

    def cut_off(*_: object) -> None:
        raise RuntimeFailure("cut-off", "The worker was killed here.")

    with monkeypatch.context() as patch:
        patch.setattr(Supervisor, "_end", cut_off)
        with pytest.raises(RuntimeFailure, match="killed here"):
            local.remove(maker.place)
    local.remove(maker.place)
    assert Supervisor(maker.home).statuses(release.group, [f"{release.group}-a0", f"{release.group}-nginx"]) == []


def test_removal_leaves_no_process_socket_or_file(local: Any, maker: Maker) -> None:
    release = maker.release(WORKER, FILES)
    local.place(release)
    local.start(release)
    layout = Layout(maker.home, maker.place)
    local.remove(maker.place)
    assert not layout.folder.exists()
    assert not layout.sockets.exists()
    assert not list(maker.home.supervisor_programs.glob(f"e{maker.key}-*"))
    assert until(lambda: not list((maker.home.root / "trash").iterdir()))
