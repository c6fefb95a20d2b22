"""Asking each process whether it works, in its own protocol."""

import http.client
import re
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from launcher import progress, rpc
from launcher.errors import Refused
from launcher.home import Layout

PATIENCE = 90.0
_MARK = "=== start by ./slipway"
_PING = """\
import sys
from celery import Celery
control = Celery(broker=sys.argv[1]).control
sys.exit(not any(control.broadcast("ping", reply=True, limit=1, timeout=0.3) for attempt in range(20)))
"""


def redis(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(2)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(64).startswith(b"+PONG")


def web(path: Path, domain: str) -> bool:
    return rpc.get(path, "/", domain) < 500


def ssh(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(5)
        return connection.recv(64).startswith(b"SSH-2.0-")


def edge(port: int, domain: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": domain})
        return connection.getresponse().status < 500
    finally:
        connection.close()


def worker(python: Path, broker: str) -> bool:
    """A ping over the broker, by a small program of its own: the launcher has no Celery."""
    command = [str(python), "-c", _PING, broker]
    return subprocess.run(command, capture_output=True, cwd="/", timeout=30, check=False).returncode == 0


def broker_url(environ: Mapping[str, str], layout: Layout) -> str:
    """As Celery spells it; portal/settings.py says the same."""
    url = environ.get("REDIS_URL") or f"unix://{layout.redis_socket}"
    return re.sub(r"\Aunix://", "redis+socket://", url)


def wait(layout: Layout, name: str, answers: Callable[[], bool], *, patience: float = PATIENCE) -> None:
    """Until it answers; refuses with the end of its log when it keeps ending or the time is over."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            if answers():
                progress.line(f"{name} answers")
                return
        except (OSError, http.client.HTTPException, subprocess.TimeoutExpired):
            pass
        if _keeps_ending(layout, name):
            break
        time.sleep(0.1)
    progress.plain(tail(layout.logs / f"{name}.log", 20).rpartition(_MARK)[2].partition("\n")[2])
    raise Refused(f"{name} does not start; the lines above are the end of {layout.logs / (name + '.log')}")


def mark_logs(layout: Layout, names: Iterable[str]) -> None:
    """A line where this start begins, so that an old failure is not taken for a new one."""
    for name in names:
        with open(layout.logs / f"{name}.log", "a") as log:
            log.write(f"{_MARK} {time.strftime('%Y-%m-%d %H:%M:%S %z')}\n")


def tail(path: Path, count: int) -> str:
    try:
        with open(path, "rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(0, handle.tell() - 64 * 1024))
            lines = handle.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def _keeps_ending(layout: Layout, name: str) -> bool:
    """The third wait between restarts: one may be a hiccup, such as a database that is still starting."""
    try:
        info = rpc.supervisor(layout.supervisor_socket).getProcessInfo(name)
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return False
    ended_often = info["statename"] == "BACKOFF" and re.search(r"Exited too quickly", info["spawnerr"] or "")
    return info["statename"] == "FATAL" or bool(ended_often and _restarts(layout, name) >= 3)


def _restarts(layout: Layout, name: str) -> int:
    log = tail(layout.logs / "supervisord.log", 200).rpartition(_MARK)[2]
    return log.count(f"spawned: '{name}'")
