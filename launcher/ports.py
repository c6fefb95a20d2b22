"""The two public TCP ports: free, allowed, and if not, whose they are."""

import errno
import os
import re
import socket
from pathlib import Path

from launcher.errors import Refused

_UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def parse(text: str, variable: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise Refused(f"{variable} is {text!r}; it must be a port number from 1 to 65535")
    return int(text)


def check(port: int, variable: str) -> None:
    """Refuse a port that the instance could not listen on."""
    lowest = int(_UNPRIVILEGED.read_text()) if _UNPRIVILEGED.exists() else 1024
    if port < lowest:
        raise Refused(
            f"{variable} is {port}, and Slipway does not run as root, which ports below {lowest} need; choose a higher "
            f"one with a proxy in front, or allow it: sysctl net.ipv4.ip_unprivileged_port_start={port}"
        )
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        _bind(family, address, port, variable)


def _bind(family: socket.AddressFamily, address: str, port: int, variable: str) -> None:
    try:
        probe = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return  # no IPv6 on this machine
    with probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise Refused(
                    f"port {port} is in use{_by(port)}; stop what uses it, or set {variable} to a free port"
                ) from error
            if error.errno != errno.EADDRNOTAVAIL:
                raise Refused(
                    f"port {port} cannot be used: {error.strerror}; set {variable} to another"
                ) from error


def _by(port: int) -> str:
    holder = holder_of(port)
    return f" by {holder}" if holder else " by another process"


def holder_of(port: int) -> str:
    """`name (process 12)` of what listens there; empty when it belongs to someone we may not look at."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            links = {os.readlink(entry.path) for entry in os.scandir(process / "fd")}
            if links & inodes:
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == "0A" and int(columns[1].rsplit(":", 1)[1], 16) == port:  # 0A: LISTEN
                inodes.add(f"socket:[{columns[9]}]")
    return inodes
