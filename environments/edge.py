"""The edge's table of hosts: one symlink per host, to the socket of the release that serves it.

A switch is a rename: no reload, no dropped connection, the same cost for any number of hosts.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from django.conf import settings

from environments.routing import MAX_HOST
from environments.runtimes.local.programs import live_mark
from portal.errors import Invalid

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\Z")


def switch(hosts: Iterable[str], socket: Path) -> None:
    """Let `socket` serve these hosts from now on, and mark its release as the one that is live."""
    links = _links(hosts)
    live_mark(socket).touch()
    _turn(links, socket)


def park(hosts: Iterable[str]) -> None:
    """Let the portal answer at these hosts: their environment sleeps, and the first visitor wakes it."""
    _turn(_links(hosts), settings.HOME.web_socket)


def is_parked(host: str) -> bool:
    try:
        return Path(os.readlink(_link(host))) == settings.HOME.web_socket
    except (OSError, Invalid):
        return False


def _links(hosts: Iterable[str]) -> dict[str, Path]:
    settings.HOME.edge.mkdir(parents=True, exist_ok=True)
    return {host: _link(host) for host in hosts}


def _turn(links: Mapping[str, Path], socket: Path) -> None:
    for host, link in links.items():
        temporary = link.with_name(f".{secrets.token_hex(6)}")
        temporary.symlink_to(socket)
        try:
            temporary.replace(link)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise Invalid(f"The host {host} could not be switched: {error.strerror}.") from error


def remove(hosts: Iterable[str]) -> None:
    """Serve these hosts no more; unknown ones are none already."""
    for host in hosts:
        _link(host).unlink(missing_ok=True)


def hosts_on(sockets: Path) -> dict[str, Path]:
    """Hosts that lead to a socket below this folder, and the socket. Parked ones lead to the web process'."""
    found: dict[str, Path] = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir(settings.HOME.edge):
            if entry.is_symlink() and not entry.name.startswith("."):
                target = Path(os.readlink(entry.path))
                if sockets in target.parents:
                    found[entry.name] = target
    return found


def _link(host: str) -> Path:
    link: Path = settings.HOME.edge / host
    if not _HOST.match(host) or ".." in host:
        raise Invalid(f"{host[:80]!r} is not a host name that can be served.")
    if len(host) > MAX_HOST:
        raise Invalid(f"The host name {host[:80]} is too long to be served here.")
    return link
