"""Asks a new release for real pages through a door of its own, until it answers properly or cannot be expected to."""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from environments.process import Stopped, Watch
from environments.routing import ResolvedRoute
from environments.runtimes.base import Probe, ReleaseSpec
from environments.runtimes.local import sandbox
from environments.runtimes.local.supervisor import UnixConnection
from environments.runtimes.local.watching import Crashes, tail

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.2
_NOT_YET = (502, 503, 504)
_BROKEN_FOR = 10.0  # seconds that a program may answer with errors while it warms up
_ONE_REQUEST = 30.0
_CONNECT = 5.0
_CRASHES_EVERY = 0.25  # seconds between questions to supervisord

Listens = Path | int | None


@dataclass
class Prober:
    """One look at a release. `listens` says where each app must listen, `logs` where each program logs."""

    release: ReleaseSpec
    door: Path
    listens: Mapping[str, Listens]
    logs: Mapping[str, Path]
    crashes: Crashes
    watch: Watch
    timeout: float  # seconds, for all of it
    connect: Callable[[str, int], socket.socket]  # from inside the environment
    began: float = field(default_factory=time.monotonic)
    _looked: float = 0.0

    def ask(self) -> Probe:
        answer = Probe(True, None, 0.0)
        for route in self._one_per_app():
            answer = self._until_answered(route)
            if not answer.ok:
                break
        return answer

    def _one_per_app(self) -> Iterator[ResolvedRoute]:
        """The primary route first, then one for each other app that routes lead to."""
        seen: set[str] = set()
        for route in sorted(self.release.routes, key=lambda route: not route.primary):
            app = route.upstream or ""
            if route.type == "upstream" and app in self.listens and app not in seen:
                seen.add(app)
                yield route

    def _until_answered(self, route: ResolvedRoute) -> Probe:
        pause, broken_since = _FIRST_PAUSE, None
        while True:
            reason = self.watch.should_stop()
            if reason is not None:
                raise Stopped(reason)
            asked = time.monotonic()
            left = self.began + self.timeout - asked
            status = self._status(route, min(max(left, 0.1), _ONE_REQUEST))
            took = (time.monotonic() - asked) * 1000
            if status is not None and status < 500:
                return Probe(True, status, took)
            if status is not None and status not in _NOT_YET:
                broken_since = broken_since or asked
                if asked - broken_since > _BROKEN_FOR:
                    return Probe(False, status, took, f"The app answers {route.url} with status {status}.")
            crashed = self._crashed()
            if crashed is not None:
                lacks = "for lack of memory, " if sandbox.ran_out_of_memory(crashed) else ""
                reason = f"A program of the release ends {lacks}again and again.\n{tail(self.logs[crashed])}"
                return Probe(False, status, took, reason.rstrip())
            if left <= 0:
                return Probe(False, status, took, self._never(route))
            time.sleep(min(pause, max(left, 0)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)

    def _status(self, route: ResolvedRoute, timeout: float) -> int | None:
        """The status of the answer, None when there is none. An app that does not listen yet is not asked: nginx
        would write an error into a log that people read."""
        if not self._accepts(self.listens[route.upstream or ""]):
            return None
        connection = UnixConnection(str(self.door), timeout=timeout)
        host = route.host.replace("*.", "probe.", 1)
        headers = {"Host": host, "User-Agent": "Slipway", "X-Forwarded-For": "127.0.0.1"}
        try:
            connection.request("GET", route.path, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _accepts(self, listens: Listens) -> bool:
        if listens is None:
            return True
        tries = [partial(_connect_unix, listens)] if isinstance(listens, Path) else []
        if isinstance(listens, int):
            tries = [partial(self.connect, address, listens) for address in ("127.0.0.1", "::1")]
        for connect in tries:
            with contextlib.suppress(OSError), connect():
                return True
        return False

    def _crashed(self) -> str | None:
        if time.monotonic() - self._looked < _CRASHES_EVERY:
            return None
        self._looked = time.monotonic()
        return self.crashes.seen()

    def _never(self, route: ResolvedRoute) -> str:
        listens = self.listens[route.upstream or ""]
        must = {
            int: f" It must listen on port {listens}, given to it in $PORT.",
            Path: " It must listen on the Unix socket given to it in $SOCKET.",
        }
        php = isinstance(listens, Path) and listens.name == "fpm.sock"
        where = "" if php or listens is None else must[int if isinstance(listens, int) else Path]
        message = f"The app did not answer within {self.timeout:g} seconds.{where}"
        said = (tail(log) for name, log in self.logs.items() if not name.endswith("-nginx"))
        return "\n".join([message, *filter(None, said)])


def _connect_unix(path: Path) -> socket.socket:
    found = socket.socket(socket.AF_UNIX)
    found.settimeout(_CONNECT)
    try:
        found.connect(str(path))
    except OSError:
        found.close()
        raise
    return found
