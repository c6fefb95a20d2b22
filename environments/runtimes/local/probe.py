"""Asks a new release for real pages through a door of its own, until it answers properly or cannot be expected to."""

import http.client
import time
from collections.abc import Iterator
from pathlib import Path

from environments.process import Stopped, Watch
from environments.routing import ResolvedRoute
from environments.runtimes.base import Probe, ReleaseSpec
from environments.runtimes.local.supervisor import UnixConnection
from environments.runtimes.local.watching import Crashes, tail

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2
_NOT_YET = (502, 503, 504)
_BROKEN_FOR = 10.0  # seconds that a program may answer with errors while it warms up
_ONE_REQUEST = 30.0


def ask(
    release: ReleaseSpec, socket: Path, crashes: Crashes, logs: dict[str, Path], timeout: float, watch: Watch
) -> Probe:
    """`logs` by program name. The timeout is for all of it, in seconds."""
    began = time.monotonic()
    last = Probe(True, None, 0.0)
    for route in _one_per_app(release):
        last = _ask_route(release, route, socket, crashes, logs, began, timeout, watch)
        if not last.ok:
            break
    return last


def _ask_route(
    release: ReleaseSpec,
    route: ResolvedRoute,
    socket: Path,
    crashes: Crashes,
    logs: dict[str, Path],
    began: float,
    timeout: float,
    watch: Watch,
) -> Probe:
    pause, broken_since = _FIRST_PAUSE, None
    while True:
        reason = watch.should_stop()
        if reason is not None:
            raise Stopped(reason)
        asked = time.monotonic()
        left = began + timeout - asked
        status = _request(socket, route, min(max(left, 0.1), _ONE_REQUEST))
        took = (time.monotonic() - asked) * 1000
        if status is not None and status < 500:
            return Probe(True, status, took)
        if status is not None and status not in _NOT_YET:
            broken_since = broken_since or asked
            if asked - broken_since > _BROKEN_FOR:
                return Probe(False, status, took, f"The app answers {route.url} with status {status}.")
        crashed = crashes.seen()
        if crashed is not None:
            reason = f"A program of the release ends again and again.\n{tail(logs[crashed])}".rstrip()
            return Probe(False, status, took, reason)
        if left <= 0:
            return Probe(False, status, took, _never(release, route, timeout, logs))
        time.sleep(min(pause, max(left, 0)))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _one_per_app(release: ReleaseSpec) -> Iterator[ResolvedRoute]:
    """The primary route first, then one for each other app that routes lead to."""
    apps = {program.app.name for program in release.programs if program.worker is None}
    seen: set[str] = set()
    for route in sorted(release.routes, key=lambda route: not route.primary):
        if route.type == "upstream" and route.upstream in apps and route.upstream not in seen:
            seen.add(route.upstream)
            yield route


def _request(socket: Path, route: ResolvedRoute, timeout: float) -> int | None:
    """The status of the answer, None when there is none."""
    connection = UnixConnection(str(socket), timeout=timeout)
    host = route.host.replace("*.", "probe.", 1)
    try:
        connection.request(
            "GET", route.path, headers={"Host": host, "User-Agent": "Slipway", "X-Forwarded-For": "127.0.0.1"}
        )
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _never(release: ReleaseSpec, route: ResolvedRoute, timeout: float, logs: dict[str, Path]) -> str:
    program = next(
        program for program in release.programs if program.worker is None and program.app.name == route.upstream
    )
    where = f"port {program.port}, given in $PORT" if program.port is not None else "the Unix socket given in $SOCKET"
    message = f"The app did not answer within {timeout:g} seconds. It must listen on {where}."
    if program.app.language == "php" and program.app.upstream.protocol == "fastcgi":
        message = f"The app did not answer within {timeout:g} seconds."
    said = "\n".join(filter(None, (tail(log) for name, log in logs.items() if not name.endswith("-nginx"))))
    return f"{message}\n{said}".rstrip()
