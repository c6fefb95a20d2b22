"""Starting an instance, in the order that makes each step safe to repeat."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from launcher import (
    cgroups,
    checkout,
    edge,
    health,
    home,
    keys,
    network,
    packages,
    ports,
    processes,
    progress,
    rpc,
    stopping,
    supervisord,
    venvs,
)
from launcher import settings as settings_module
from launcher.errors import Refused
from launcher.home import Layout
from launcher.settings import Settings
from launcher.user import RunUser


@dataclass(frozen=True)
class Plan:
    """Everything that a start needs to know, decided before anything is changed."""

    layout: Layout
    settings: Settings
    user: RunUser
    code: Path
    python: str
    group: cgroups.Group | None

    @property
    def environ(self) -> dict[str, str]:
        group = self.group.environ if self.group else {}
        return {**self.settings.environ(str(self.layout.root), str(self.layout.cache)), **group}


def plan(checkout_folder: Path, user: RunUser, layout: Layout) -> Plan:
    """Decide, and refuse what cannot work, before anything is changed."""
    settings = settings_module.read(os.environ, user.call(home.remembered, layout))
    home.check_space(layout)
    stopping.clear_leftovers(layout, user)
    ports.check(settings.port, "SLIPWAY_PORT")
    ports.check(settings.ssh_port, "SLIPWAY_SSH_PORT")
    if settings.https_port:
        ports.check(settings.https_port, "SLIPWAY_HTTPS_PORT")
    used = [settings.port, settings.ssh_port, *([settings.https_port] if settings.https_port else [])]
    if len(set(used)) < len(used):
        raise Refused(
            f"SLIPWAY_PORT, SLIPWAY_SSH_PORT and SLIPWAY_HTTPS_PORT must differ; they are {', '.join(map(str, used))}"
        )
    network.open_tun(user)
    code = checkout.place(checkout_folder, layout, user)
    group = cgroups.create(layout.instance, user)
    return Plan(layout, settings, user, code, packages.system_python(), group)


def start(plan: Plan) -> None:
    """Bring everything up; on failure nothing is left running."""
    before: Callable[[], None] | None = plan.group.enter if plan.group else None
    try:
        plan.user.call(_start, plan, before=before)
    except BaseException:
        stopping.stop(plan.layout, plan.user, quiet=True)
        raise


def has_command(code: Path, name: str) -> bool:
    return any(code.glob(f"*/management/commands/{name}.py"))


def _start(plan: Plan) -> None:
    layout, settings = plan.layout, plan.settings
    os.umask(0o027)
    layout.make()
    scratch = plan.environ
    python = venvs.ensure(layout.root / "venv", plan.code / "requirements.txt", plan.python, scratch)
    keys.ensure(layout)
    home.remember(layout, settings.kept())
    stopping.clear_sockets(layout)
    stopping.forget_starts(layout)
    network.settle(layout, plan.code, settings.network)
    _configure(plan, python)
    _prepare_database_and_files(plan, python)
    _write_byte_code(plan, python)
    _launch(plan, python)
    if settings.own_redis:
        health.wait(layout, "redis", lambda: health.redis(layout.redis_socket))
    health.wait(layout, "web", lambda: health.web(layout.web_socket, settings.domain))
    health.wait(layout, "ssh", lambda: health.ssh(settings.ssh_port))
    health.wait(layout, "edge", lambda: health.edge(settings.port, settings.domain))
    broker = health.broker_url(plan.environ, layout)
    health.wait(layout, "worker", lambda: health.worker(python, broker))
    if has_command(plan.code, "reconcile"):
        _manage_quietly(plan, python, ["reconcile"], "active environments cannot be brought back")
        progress.line("Active environments are in place")


def _configure(plan: Plan, python: Path) -> None:
    layout, settings = plan.layout, plan.settings
    pages = layout.run / "pages"
    policy = edge.write_pages(plan.code / "launcher" / "pages", pages)
    text = edge.caddyfile(
        layout,
        port=settings.port,
        domain=settings.domain,
        scheme=settings.scheme,
        pages=pages,
        policy=policy,
        proxies=settings.proxies,
        tls=settings.tls(layout.edge_token.read_text().strip()),
    )
    _write(layout.run / "Caddyfile", text)
    _write(layout.run / "redis.conf", supervisord.redis_config(layout))
    found = supervisord.programs(layout, python, own_redis=settings.own_redis)
    health.mark_logs(layout, [*(program.name for program in found), "supervisord"])
    _write(layout.process_environ, json.dumps(plan.environ, indent=2, sort_keys=True))
    _write(layout.supervisor_config, supervisord.config(layout, plan.code, found))


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)


def _prepare_database_and_files(plan: Plan, python: Path) -> None:
    """Migrations and static files, side by side; files only when one of them changed."""
    stamp = plan.layout.cache / "static.stamp"
    state = _static_state(plan.code)
    collect = None
    if not stamp.exists() or stamp.read_text() != state or not any(plan.layout.static.iterdir()):
        shutil.rmtree(plan.layout.static, ignore_errors=True)
        collect = _begin(plan, python, ["collectstatic", "--noinput", "--verbosity", "0"])
    migrate = _begin(plan, python, ["migrate", "--noinput", "--verbosity", "1"])
    _finish(plan, migrate, "the database cannot be brought up to date")
    progress.line("Database is up to date")
    if collect:
        _finish(plan, collect, "the static files cannot be collected")
        stamp.write_text(state)
        progress.line("Static files are in place")


def _write_byte_code(plan: Plan, python: Path) -> None:
    """At the first start of a home: load what the processes are about to load. Three of them would compile the same
    modules at once, and keep the memory that compiling took for as long as they live."""
    stamp = plan.layout.cache / "byte-code.stamp"
    if not stamp.exists():
        modules = "deployments.tasks, deployments.ssh.server, portal.asgi, portal.urls, granian.cli, " + ", ".join(
            f"celery.{name}" for name in ("bin.celery", "apps.worker", "concurrency.prefork")
        )
        load = ["shell", "--no-imports", "--command", f"import {modules}, kombu.transport.redis"]
        _manage_quietly(plan, python, load, "the portal's code cannot be loaded")
        stamp.touch()


def _static_state(code: Path) -> str:
    """Which files there are and when they changed, in the portal's folders and in the packages."""
    files = [path for folder in ("static", "portal/static") for path in (code / folder).rglob("*") if path.is_file()]
    known = [f"{path} {path.stat().st_mtime_ns}" for path in [*sorted(files), code / "requirements.txt"]]
    return home.digest("\n".join(known))


def _begin(plan: Plan, python: Path, arguments: list[str]) -> "tuple[subprocess.Popen[bytes], str]":
    with open(plan.layout.setup_log, "ab") as log:
        log.write(f"\n$ manage.py {' '.join(arguments)}\n".encode())
        log.flush()
        command = [str(python), "manage.py", *arguments]
        process = subprocess.Popen(
            command,
            cwd=plan.code,
            env=plan.environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return process, arguments[0]


def _finish(plan: Plan, begun: "tuple[subprocess.Popen[bytes], str]", failure: str) -> None:
    process, name = begun
    if process.wait() == 0:
        return
    end = health.tail(plan.layout.setup_log, 15)
    progress.plain(end)
    if "No space left on device" in end or "database or disk is full" in end:
        raise Refused(f"no space left on the disk of {plan.layout.real}; free some and run the command again")
    raise Refused(f"{failure} (manage.py {name}); the lines above are the end of {plan.layout.setup_log}")


def _manage_quietly(plan: Plan, python: Path, arguments: list[str], failure: str) -> None:
    _finish(plan, _begin(plan, python, arguments), failure)


def _launch(plan: Plan, python: Path) -> None:
    layout = plan.layout
    command = [str(python), "-m", "supervisor.supervisord", "--nodaemon", "--configuration"]
    environ = {
        # Programs of environments inherit this: no secret, and no path but the home.
        **{name: plan.environ[name] for name in ("PATH", "LANG", "HOME", "SLIPWAY_HOME")},
        **(plan.group.environ if plan.group else {}),
        processes.MARKER: layout.instance,
    }
    with open(layout.setup_log, "ab") as log:
        process = subprocess.Popen(
            [*command, str(layout.supervisor_config)],
            cwd=plan.code,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        if rpc.answers(layout.supervisor_socket):
            progress.line("Processes are starting")
            return
        time.sleep(0.05)
    progress.plain(health.tail(layout.setup_log, 10))
    raise Refused(f"supervisord does not start; the lines above are the end of {layout.setup_log}")
