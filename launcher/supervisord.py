"""supervisord's configuration: the portal's own five processes; environments add theirs as files beside it."""

import re
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launcher import processes
from launcher.errors import Refused
from launcher.home import Layout

_MOST_FILES = 65536


@dataclass(frozen=True)
class Program:
    name: str
    command: list[str]
    priority: int
    environ: Mapping[str, str] = field(default_factory=dict)
    stop_wait: int = 10
    folder: Path | None = None
    """Where it works; with the code unless it says otherwise."""


def programs(layout: Layout, python: Path, *, own_redis: bool) -> list[Program]:
    """The portal's processes in the order of their start. Their environment is in a file: it may hold secrets, and
    supervisord's own syntax cannot say every value."""
    guarded = [str(python), "-m", "launcher.guard", str(layout.process_environ)]
    found = [
        Program("web", [*guarded, str(layout.web_socket), "-m", "granian", *_granian(layout)], 20),
        Program("worker", [*guarded, "-", "-m", "celery", *_celery(layout)], 30, stop_wait=15),
        Program("ssh", [*guarded, str(layout.hook_socket), "manage.py", "ssh_server"], 30),
        Program(
            "edge",
            ["caddy", "run", "--config", str(layout.run / "Caddyfile")],
            40,
            _caddy_environ(layout),
            folder=layout.edge,  # it names its sockets from there: see launcher/edge.py
        ),
    ]
    redis = Program("redis", ["redis-server", str(layout.run / "redis.conf")], 10)
    return [redis, *found] if own_redis else found


def _granian(layout: Layout) -> list[str]:
    return [
        *("--interface", "asginl", "--http", "1", "--no-ws"),
        *(
            "--uds",
            str(layout.web_socket),
            "--workers",
            "1",
            "--respawn-failed-workers",
            "--respawn-interval",
            "0.5",
        ),
        # Open streams would hold up a shutdown for as long as someone watches.
        *("--workers-kill-timeout", "3"),
        *("--backlog", "2048", "--backpressure", "8192"),
        "portal.asgi:application",
    ]


def _celery(layout: Layout) -> list[str]:
    return [
        *("-A", "portal", "worker"),
        *("--queues", "activities,housekeeping", "--concurrency", "2", "-O", "fair", "--loglevel", "INFO"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]


def _caddy_environ(layout: Layout) -> dict[str, str]:
    cache = str(layout.cache / "caddy")
    return {
        "HOME": cache,
        "XDG_DATA_HOME": cache,
        "XDG_CONFIG_HOME": cache,
        "GOMAXPROCS": "2",
        "GOMEMLIMIT": "64MiB",
    }


def redis_config(layout: Layout) -> str:
    lines = [
        "port 0",
        f"unixsocket {layout.redis_socket}",
        "unixsocketperm 700",
        "daemonize no",
        f"dir {layout.run}",
        # A broker and a pub/sub bus: nothing in it would be missed.
        'save ""',
        "appendonly no",
        "shutdown-on-sigterm nosave now force",
        "maxmemory 128mb",
        "maxmemory-policy noeviction",
        "client-output-buffer-limit pubsub 8mb 4mb 30",
    ]
    return "\n".join(lines) + "\n"


def config(layout: Layout, code: Path, found: list[Program], *, files: int | None = None) -> str:
    head = f"""\
; Written by ./slipway at each start.
[supervisord]
nodaemon = true
identifier = slipway
directory = {_escape(code)}
logfile = {_escape(layout.logs / "supervisord.log")}
logfile_maxbytes = 10MB
logfile_backups = 2
loglevel = info
pidfile = {_escape(layout.supervisor_pid)}
childlogdir = {_escape(layout.logs)}
nocleanup = true
umask = 027
minfds = {files or open_files()}
minprocs = 200

[unix_http_server]
file = {_escape(layout.supervisor_socket)}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{_escape(layout.supervisor_socket)}

[include]
files = {_escape(layout.supervisor_programs)}/*.ini
"""
    return "\n".join([head, *(_section(layout, code, program) for program in found)])


def _section(layout: Layout, code: Path, program: Program) -> str:
    named = {**program.environ, processes.PROGRAM: program.name}
    return f"""\
[program:{program.name}]
command = {" ".join(_word(word) for word in program.command)}
directory = {_escape(program.folder or code)}
environment = {_environ(named)}
priority = {program.priority}
autostart = true
autorestart = true
startsecs = 1
startretries = 100000
stopsignal = TERM
stopwaitsecs = {program.stop_wait}
stopasgroup = true
killasgroup = true
redirect_stderr = true
stdout_logfile = {_escape(layout.logs / (program.name + ".log"))}
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
"""


def open_files() -> int:
    """As many as this user may have: a stream, a sandbox and a connection each hold some."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)


def _escape(value: object) -> str:
    """supervisord expands %(...)s everywhere and takes ` ;` for a comment."""
    text = str(value)
    if re.search(r"[\n\r]|\s;", text):
        raise Refused(f"{text!r} cannot be written into a configuration file; use a plainer path")
    return text.replace("%", "%%")


def _word(value: str) -> str:
    text = _escape(value)
    return text if re.fullmatch(r"[A-Za-z0-9_@%+=:,./-]+", text) else _quote(text)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _environ(environ: Mapping[str, str]) -> str:
    for value in environ.values():
        if re.search(r"[\"'\\]", value):
            raise Refused(f"{value!r} cannot be written into a configuration file; use a plainer path")
    return ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(environ.items()))
