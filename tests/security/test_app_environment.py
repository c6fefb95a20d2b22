"""The variables of an app reach the app's own programs inside its sandbox, and no program of the host: not what starts
sandboxes, not the web server, not what waits outside for its turn."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from environments.process import Watch
from environments.runtimes.local.launch import main as launch
from tests.environments.runtimes.apps import SERVER
from tests.environments.runtimes.conftest import home, local, maker  # noqa: F401 - fixtures
from tests.environments.runtimes.make import Maker

HOSTILE = {
    "LD_PRELOAD": "/app/evil.so",
    "LD_AUDIT": "/app/evil.so",
    "LD_LIBRARY_PATH": "/app/lib",
    "GCONV_PATH": "/app/gconv",
    "PYTHONPATH": "/app/python",
    "PYTHONSTARTUP": "/app/python/start.py",
    "BASH_ENV": "/app/start.sh",
    "ENV": "/app/start.sh",
    "PATH": "/app/bin",
    "NGINX": "5;6;",
    "GIT_EXEC_PATH": "/app/bin",
    "GIT_SSH_COMMAND": "/app/bin/ssh",
    "NODE_OPTIONS": "--require /app/evil.js",
    "SLIPWAY_CGROUP_VERSION": "2",
    "SLIPWAY_HOME": "/app",
}
MARK = "only-in-the-sandbox"
ENV = {**HOSTILE, "MARK": MARK}

_TAKEN_OVER = "#!/bin/sh\necho taken over >&2\nexit 66\n"
FILES = {
    "server.py": SERVER,
    "public/index.php": "<?php echo 'x';",
    "python/sitecustomize.py": "raise SystemExit(66)\n",
    "start.sh": "exit 66\n",
    **{f"bin/{name}": _TAKEN_OVER for name in ("bwrap", "nginx", "git", "env", "prlimit", "setpriv", "flock", "ssh")},
}
PYTHON = """
name: app
type: 'python:3.11'
web: {commands: {start: "exec /usr/bin/python3 -IS server.py"}}
workers: {queue: {commands: {start: "exec /usr/bin/sleep 60"}}}
crons: {nightly: {spec: "0 3 * * *", commands: {start: "true"}}}
"""
PHP = """
name: app
type: 'php:8.2'
build: {flavor: none}
web: {locations: {"/": {root: public, passthru: "/index.php"}}}
"""


@dataclass(frozen=True)
class Seen:
    """A process as /proc shows it."""

    program: str
    arguments: str
    environment: dict[str, str]

    @property
    def of_the_host(self) -> bool:
        return (
            self.program in ("bwrap", "nginx", "git") or "launch.py" in self.arguments or "supervisor" in self.arguments
        )


def quiet() -> Watch:
    return Watch(output=lambda _: None)


def processes() -> Iterator[Seen]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            given = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            program = Path(os.readlink(folder / "exe")).name
        except OSError:
            continue
        yield Seen(program, arguments, dict(entry.split("=", 1) for entry in given if "=" in entry))


def look(enough: Callable[[list[Seen]], bool]) -> list[Seen]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        seen = list(processes())
        if enough(seen):
            return seen
        time.sleep(0.02)
    raise AssertionError("what was waited for never ran")


def app_runs(seen: list[Seen]) -> bool:
    return any(each.environment.get("MARK") == MARK for each in seen)


def check(seen: list[Seen]) -> None:
    host = [each for each in seen if each.of_the_host]
    assert {"bwrap"} <= {each.program for each in host}
    for each in host:
        assert "MARK" not in each.environment, each
        assert not HOSTILE.items() & each.environment.items(), each
        assert MARK not in each.arguments
    assert not any("taken over" in each.arguments for each in seen)


@pytest.mark.parametrize("app", [PYTHON, PHP], ids=["python", "php"])
def test_running_programs_keep_their_variables_inside(local: Any, maker: Maker, app: str) -> None:  # noqa: F811
    release = maker.release(app, FILES, env=ENV)
    for name in FILES:
        if name.startswith("bin/"):
            for program in release.programs:
                (program.slug / name).chmod(0o755)
    local.place(release)
    local.start(release)
    probe = local.probe(release, timeout=20, watch=quiet())
    assert probe.ok, probe.reason
    seen = look(lambda seen: app_runs(seen) and any(each.program == "nginx" for each in seen))
    check(seen)


def test_a_script_beside_the_release_keeps_its_variables_inside(local: Any, maker: Maker) -> None:  # noqa: F811
    release = maker.release(PYTHON, FILES, env=ENV)
    local.place(release)
    said: list[bytes] = []
    script = 'echo "$MARK"; echo "$LD_PRELOAD"; /usr/bin/sleep 2'
    codes: list[int] = []
    running = threading.Thread(
        target=lambda: codes.append(local.run(release, "app", script, Watch(output=said.append)))
    )
    running.start()
    check(look(app_runs))
    running.join()
    assert codes == [0]
    assert MARK.encode() in b"".join(said)
    assert b"/app/evil.so" in b"".join(said)


def test_a_build_keeps_its_variables_inside(local: Any, maker: Maker) -> None:  # noqa: F811
    hook = "hooks: {build: '/usr/bin/sleep 2; echo \"$MARK\" > built'}\n"
    spec = replace(maker.build(PYTHON + hook, FILES), env=ENV)
    running = threading.Thread(target=local.build, args=(spec, quiet()))
    running.start()
    check(look(app_runs))
    running.join()
    assert (spec.tree / "built").read_text().strip() == MARK


def test_nothing_of_an_app_stands_in_the_supervisors_files(local: Any, maker: Maker) -> None:  # noqa: F811
    release = maker.release(PYTHON, FILES, env=ENV)
    local.place(release)
    local.start(release)
    text = (maker.home.supervisor_programs / f"{release.group}.ini").read_text()
    assert MARK not in text
    assert not any(value in text for value in HOSTILE.values() if value.startswith("/app/"))
    description = maker.home.environment(maker.place.project_id, maker.place.machine_name) / "run" / "1" / "nginx.json"
    assert MARK not in description.read_text()


def test_a_word_with_a_nul_never_becomes_two(tmp_path: Path) -> None:
    """Arguments travel to bubblewrap with NULs between them: one inside a word would begin the next."""
    path = tmp_path / "spec.json"
    path.write_text(
        '{"argv": ["true"], "env": {"A": "x\\u0000--bind\\u0000/\\u0000/host"}, "bwrap": [], "processes": 1}'
    )
    child = os.fork()
    if not child:
        try:
            launch(str(path))
        except SystemExit as error:
            os._exit(0 if "NUL" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
