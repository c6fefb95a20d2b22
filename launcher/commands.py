"""What each command of ./slipway does. Each returns the exit code."""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from launcher import health, home, network, packages, progress, rpc, starting, stopping, venvs
from launcher import settings as settings_module
from launcher.errors import Refused
from launcher.home import Layout
from launcher.settings import Settings
from launcher.user import RunUser, existing_run_user, run_user

NOT_RUNNING = 3
PROCESSES = ("redis", "web", "worker", "ssh", "edge")


def up(checkout: Path, requested: Path, *, detach: bool, demo: bool) -> int:
    packages.ensure(packages.RUN)
    user = run_user()
    layout = home.settle(requested, user)
    with home.lock(layout):
        if user.call(rpc.answers, layout.supervisor_socket):
            return _already_running(layout, user, checkout, demo=demo)
        plan = starting.plan(checkout, user, layout)
        starting.start(plan)
    code = _manage(layout, plan.code, user, ["demo"]) if demo else 0
    _print_links(plan.settings)
    if detach:
        return code
    return _stay(layout, user) or code


def stop(requested: Path) -> int:
    user = existing_run_user()
    layout = home.locate(requested)
    with home.lock(layout):
        ran = stopping.stop(layout, user)
    progress.line("Stopped" if ran else "Nothing was running")
    return 0


def status(requested: Path) -> int:
    """0: all run; 1: some do not; 3: nothing runs."""
    layout = _as_runner(requested)
    infos = rpc.states(layout.supervisor_socket)
    if not infos:
        progress.plain(f"Slipway is not running in {requested}")
        return NOT_RUNNING
    own = sorted((info for info in infos if info["name"] in PROCESSES), key=lambda info: PROCESSES.index(info["name"]))
    others = [info for info in infos if info["name"] not in PROCESSES]
    for info in own:
        progress.plain(f"{info['name']:<8} {_state(info)}")
    running = sum(info["statename"] == "RUNNING" for info in others)
    progress.plain(f"programs of environments: {running} of {len(others)} running")
    for info in others:
        if info["statename"] != "RUNNING":
            progress.plain(f"  {info['group']}:{info['name']} {_state(info)}")
    found = network.read(layout)
    if found is not None:
        progress.plain(found.line)
    _print_links(settings_module.read({}, home.remembered(layout)))
    return 0 if all(info["statename"] == "RUNNING" for info in infos) else 1


def logs(requested: Path, name: str | None, *, follow: bool, lines: int) -> int:
    layout = _as_runner(requested)
    there = sorted(path.stem for path in layout.logs.glob("*.log"))
    if name is not None and name not in there:
        raise Refused(f"there is no log of {name!r}; there are: {', '.join(there) or 'none yet'}")
    files = [layout.logs / f"{stem}.log" for stem in ([name] if name else there)]
    if not follow:
        for file in files:
            if name is None:
                progress.plain(f"==> {file.stem} <==")
            progress.plain(health.tail(file, lines))
        return 0
    # tail(1) follows a file through its rotation.
    return subprocess.run(["tail", "-n", str(lines), "-F", "--", *map(str, files)], check=False).returncode


def manage(checkout: Path, requested: Path, arguments: Sequence[str]) -> int:
    user = existing_run_user()
    layout = home.locate(requested)
    return _manage(layout, _code_of(layout, checkout, user), user, arguments)


def _manage(layout: Layout, code: Path, user: RunUser, arguments: Sequence[str]) -> int:
    """manage.py on the terminal, as the user that runs Slipway, with the settings of the last start."""
    return int(user.call(_run_manage, layout, code, list(arguments)))


def _run_manage(layout: Layout, code: Path, arguments: list[str]) -> int:
    python = venvs.find(layout.root / "venv", code / "requirements.txt", packages.system_python())
    if python is None:
        raise Refused("the Python packages are missing or out of date; run ./slipway up first")
    settings = settings_module.read(os.environ, home.remembered(layout))
    terminal = {name: os.environ[name] for name in ("TERM", "COLUMNS", "LINES", "NO_COLOR") if name in os.environ}
    environ = {**settings.environ(str(layout.root), str(layout.cache)), **terminal}
    command = [str(python), "manage.py", *arguments]
    ended = subprocess.run(command, cwd=code, env=environ, check=False).returncode
    return ended if ended >= 0 else 128 - ended


def _code_of(layout: Layout, checkout: Path, user: RunUser) -> Path:
    """The copy when there must be one; a command beside a running instance does not refresh it."""
    return layout.app if user.drop and not user.can("-r", checkout / "manage.py") else checkout


def _as_runner(requested: Path) -> Layout:
    """The layout, after giving up root: all that follows only looks."""
    user = existing_run_user()
    layout = home.locate(requested)
    os.chdir("/")
    user.become()
    return layout


def _already_running(layout: Layout, user: RunUser, checkout: Path, *, demo: bool) -> int:
    settings = settings_module.read({}, user.call(home.remembered, layout))
    progress.line(f"Slipway is already running in {layout.real}")
    code = _manage(layout, _code_of(layout, checkout, user), user, ["demo"]) if demo else 0
    _print_links(settings)
    return code


def _stay(layout: Layout, user: RunUser) -> int:
    """Until Ctrl-C, a stop from elsewhere, or the end of supervisord."""
    progress.plain("Press Ctrl-C to stop.")
    stopped_elsewhere = False
    try:
        stopped_elsewhere = bool(user.call(_attend, layout))
    except KeyboardInterrupt:
        progress.plain()
        progress.line("Stopping")
    if stopped_elsewhere:
        progress.line("Stopped")
        return 0
    interrupted = bool(user.call(rpc.answers, layout.supervisor_socket))
    with home.lock(layout):
        stopping.stop(layout, user)
    if interrupted:
        progress.line("Stopped")
        return 0
    raise Refused(f"supervisord ended unexpectedly; {layout.logs / 'supervisord.log'} may say why")


def _attend(layout: Layout) -> bool:
    """Say what changes until supervisord ends. True when it was stopped on purpose."""
    before: dict[str, str] = {}
    while True:
        infos = rpc.states(layout.supervisor_socket)
        if not infos and not rpc.answers(layout.supervisor_socket):
            return not layout.supervisor_pid.exists()
        now = {f"{info['group']}:{info['name']}": str(info["statename"]) for info in infos}
        for name, state in now.items():
            if before.get(name) == "RUNNING" and state in ("BACKOFF", "FATAL"):
                progress.line(f"{name.partition(':')[2]} ended unexpectedly; ./slipway logs shows why")
        before = now
        time.sleep(1)


def _state(info: dict[str, Any]) -> str:
    if info["statename"] != "RUNNING":
        reason = f": {info['spawnerr']}" if info["spawnerr"] else ""
        return f"{info['statename'].lower()}{reason}"
    seconds = int(info["now"] - info["start"])
    return f"running for {_duration(seconds)} (process {info['pid']})"


def _duration(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _print_links(settings: Settings) -> None:
    ssh = settings.passed.get("SLIPWAY_PUBLIC_SSH_PORT") or str(settings.ssh_port)
    progress.plain()
    progress.plain(f"  Portal   {settings.url}/")
    progress.plain(f"  Git      ssh://git@{settings.domain}:{ssh}/<project id>.git")
    progress.plain(f"  Sites    {settings.url.replace('://', '://<environment>-<project id>.', 1)}/")
    progress.plain()
