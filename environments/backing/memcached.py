"""Memcached: a cache in memory, without accounts, as applications expect it; its network is what keeps others out.

It listens on TCP or on a Unix socket, never on both, so it is not asked from outside of its network: it writes down
where it listens once it does, and holds its folder below `sockets` locked while it runs.
"""

import fcntl
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from environments import process
from environments.backing import base, files, grants
from environments.runtimes.base import Sandbox, ServiceSpec

_MEGABYTES = 64
_ROOM = 128 * 1024**2  # beside the data: hash table, connections, threads
_START = 'rm -f -- "$MEMCACHED_PORT_FILENAME"; exec "$@"'  # what an earlier run wrote there is no sign of this one


class Memcached(base.Copied):
    name = "memcached"
    types: Sequence[str] = ("memcached",)
    port = 11211

    def versions(self) -> Sequence[str]:
        return _versions()

    def check(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        grants.refuse_unknown(configuration, ())
        return []

    def endpoints(self, asked: str, configuration: Mapping[str, Any]) -> Sequence[str]:
        return ["memcached"]

    def new_secrets(self, configuration: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {}

    def prepare(self, version: str) -> None:
        """Nothing: it keeps nothing."""

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        files.private_folder(data.parent)
        files.private_folder(base.socket_directory(spec, sockets))
        files.private_folder(data)

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        folder = base.socket_directory(spec, sockets)
        options = ["-l", spec.address, "-p", str(spec.port), "-U", "0", "-m", str(_MEGABYTES), "-c", "512", "-t", "2"]
        return Sandbox(
            argv=base.exclusive(folder, ["/bin/dash", "-c", _START, "memcached", _program(), *options]),
            env={"LANG": "C.UTF-8", "TZ": "UTC", "MEMCACHED_PORT_FILENAME": str(_told(spec, sockets))},
            writable=[(path, str(path)) for path in (data, folder)],
            cwd=str(data),
            memory=_MEGABYTES * 1024**2 + _ROOM,
            label=base.label(spec),
        )

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        """Whether it runs and listens."""
        told = _told(spec, sockets)
        return told.exists() and _held(told.parent)

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        """Nothing can be."""

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        name = base.pick_endpoint(spec, endpoint, self.endpoints(spec.asked, spec.configuration))
        return base.entry(
            spec, relationship, name, scheme="memcached", username=None, password=None, path=None, query=[]
        )


def _told(spec: ServiceSpec, sockets: Path) -> Path:
    return base.socket_directory(spec, sockets) / "port"


def _held(folder: Path) -> bool:
    """Whether a running program holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _program() -> str:
    return shutil.which("memcached", path="/usr/bin:/usr/local/bin") or "memcached"


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    try:
        text = process.run([_program(), "--version"]).text
    except process.ProcessError:
        return ()
    found = re.search(r"memcached (\d+\.\d+)", text)
    return (found[1],) if found else ()
