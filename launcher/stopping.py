"""Stopping an instance, and ending what an earlier start left behind."""

import contextlib
import http.client
import time
import xmlrpc.client
from collections.abc import Callable
from typing import Any

from launcher import cgroups, home, processes, progress, rpc
from launcher.home import Layout
from launcher.user import RunUser

PATIENCE = 45.0


def clear_leftovers(layout: Layout, user: RunUser) -> None:
    """After a power cut or a killed supervisord: end what still runs, or it would hold ports and data."""
    found = leftovers(layout, user)
    if found:
        progress.line(f"Ending {len(found)} processes left over from an earlier start")
        processes.end(found)


def leftovers(layout: Layout, user: RunUser) -> list[processes.Process]:
    return processes.belonging(
        processes.snapshot(),
        instance=layout.instance,
        roots={str(layout.real), str(layout.root)},
        uid=user.uid,
        members=cgroups.members(layout.instance) if user.drop else (),
    )


def stop(layout: Layout, user: RunUser, *, quiet: bool = False) -> bool:
    """True when something ran. Afterwards no process of the instance is left, or this refuses and names it."""
    running = bool(user.call(rpc.answers, layout.supervisor_socket))
    if running:
        user.call(_shut_down, layout)
    found = leftovers(layout, user)
    if found:
        if not quiet:
            which = "that did not end with the rest" if running else "whose supervisord is gone"
            progress.line(f"Ending {len(found)} processes {which}")
        processes.end(found)
    if user.drop:
        cgroups.remove(layout.instance)
    user.call(clear_sockets, layout)
    home.forget_short_name(layout)
    return running or bool(found)


def _shut_down(layout: Layout) -> None:
    """First everything at once but Redis, which the others say goodbye through, then supervisord itself."""
    pid = _supervisor_pid(layout)
    try:
        proxy = rpc.supervisor(layout.supervisor_socket, timeout=PATIENCE)
        for info in proxy.getAllProcessInfo():
            if info["name"] != "redis" and info["statename"] in ("RUNNING", "STARTING", "BACKOFF"):
                _ask_to_stop(proxy, f"{info['group']}:{info['name']}")
        _until(lambda: all(info["name"] == "redis" or _is_down(info) for info in rpc.states(layout.supervisor_socket)))
        _ask_to_stop(proxy, "redis")
        _until(lambda: all(map(_is_down, rpc.states(layout.supervisor_socket))))
        proxy.shutdown()
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        pass  # what does not answer is ended by its id
    _until(lambda: pid is None or processes.read(pid) is None)


def _ask_to_stop(proxy: Any, name: str) -> None:
    with contextlib.suppress(xmlrpc.client.Fault):  # it ended by itself meanwhile
        proxy.stopProcess(name, False)


def _is_down(info: dict[str, Any]) -> bool:
    return info["statename"] in ("STOPPED", "EXITED", "FATAL")


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and not reached():
        time.sleep(0.05)


def _supervisor_pid(layout: Layout) -> int | None:
    try:
        return int(rpc.supervisor(layout.supervisor_socket).getPID())
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return None


def clear_sockets(layout: Layout) -> None:
    """Nobody listens there any more: a stale socket or pid file would make the next start fail or lie."""
    for name in ("supervisor.sock", "web/web.sock", "redis.sock", "hook.sock", "supervisord.pid"):
        (layout.run / name).unlink(missing_ok=True)


def forget_starts(layout: Layout) -> None:
    """That the instance starts is no restart of what runs in it: see environments/runtimes/local/launch.py."""
    for pattern in ("services/*.starts", "run/*/*.starts"):
        for file in layout.root.glob(f"environments/*/*/{pattern}"):
            file.unlink(missing_ok=True)
