"""The network of an environment: namespaces of its own where the host has them, else the host's own network.

Which of both it is was found out by the launcher at this start, and stands in a file below the home: "isolated" or
"shared", and on the next line why. Programs are told the file and the door, so that a description that was written
under the other rule still does the right thing; where the file is missing, they wait for the door.
"""

import contextlib
import hashlib
import ipaddress
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from environments.runtimes.base import EVERYWHERE, SHARED, RuntimeFailure
from environments.runtimes.local.layout import Layout, make_private
from environments.runtimes.local.sandbox import interpreter
from environments.runtimes.local.supervisor import Program, Supervisor
from environments.runtimes.local.watching import Crashes, tail
from portal.paths import Home

MAIL = ("127.63.0.25", 25)
_HOLDER = Path(__file__).with_name("holder.py")
_PATIENCE = 30.0  # seconds
_ANSWER = 5.0
_CONNECT = 10.0
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_SHARED_MAIL_PORT = 2525  # below 1024 only root may listen on the host


@dataclass(frozen=True)
class State:
    isolated: bool
    reason: str  # why it is so, for people


def state(home: Home) -> State:
    try:
        mode, _, reason = home.network.read_text().partition("\n")
    except FileNotFoundError:
        return State(True, "")
    return State(mode.strip() != "shared", reason.strip())


def mail_of(layout: Layout) -> tuple[str, int]:
    """Where mail is taken: in a shared network at an address in 127.32.0.0/11 that is the environment's alone."""
    if state(layout.home).isolated:
        return MAIL
    number = int.from_bytes(hashlib.sha256(str(layout.door).encode()).digest()[:3]) % (1 << 21)
    return str(ipaddress.IPv4Address("127.32.0.0") + number), _SHARED_MAIL_PORT


class Network:
    """Of one environment."""

    def __init__(self, supervisor: Supervisor, layout: Layout, *, allow: Sequence[str], ports: Sequence[int]) -> None:
        self._supervisor = supervisor
        self._layout = layout
        self._allow = allow
        self._listens = [MAIL, *((EVERYWHERE, port) for port in ports)]
        self.group = f"e{layout.place.key}-net"
        self._log = layout.logs / "network.log"

    @property
    def isolated(self) -> bool:
        return state(self._layout.home).isolated

    def ensure(self) -> None:
        """Have it there before the first program: safe to repeat, and quick when it is."""
        if not self.isolated:
            if self._supervisor.programs(self.group):
                self._supervisor.remove(self.group, patience=5)
            return
        if self.alive():
            return
        description = self._layout.releases / "network.json"
        make_private(self._layout.releases, self._layout.sockets, self._layout.logs)
        given = {"door": str(self._layout.door), "mark": self.mark, "allow": [*self._allow], "listens": self._listens}
        temporary = description.with_suffix(".new")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(given))
        temporary.replace(description)
        command = [interpreter(), "-IS", str(_HOLDER), str(description)]
        program = Program(f"{self.group}-0", command, self._log, priority=50)
        if not self._supervisor.add(self.group, [program]):
            self._supervisor.start(self.group)
        self._wait(program.name)

    @property
    def mark(self) -> str:
        """Name of its network device: no other environment's, of this instance or another on this host."""
        return "sl" + hashlib.sha256(str(self._layout.door).encode()).hexdigest()[:10]

    def alive(self) -> bool:
        """Whether programs can join it now. Always, where there is none to join."""
        if not self.isolated:
            return True
        try:
            with self._handed():
                return True
        except OSError:
            return False

    def remove(self) -> None:
        self._supervisor.remove(self.group, patience=5)

    def connect(self, address: str, port: int) -> socket.socket:
        if not self.isolated:
            return socket.create_connection((address, port), timeout=_CONNECT)
        version = ipaddress.ip_address(address).version
        with self._handed() as (_, handed):
            found = socket.socket(fileno=os.dup(handed[2 if version == 4 else 3]))
        found.settimeout(_CONNECT)
        try:
            found.connect((address, port))
        except OSError:
            found.close()
            raise
        return found

    def listen(self, address: str, port: int) -> socket.socket:
        """A listening socket inside. Those that the holder keeps go on taking connections while nobody accepts them."""
        if not self.isolated:
            return socket.create_server((address, port))
        with self._handed() as (_, handed):
            if (address, port) in self._listens:
                return socket.socket(fileno=os.dup(handed[4 + self._listens.index((address, port))]))
            found = socket.socket(fileno=os.dup(handed[2]))
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((address, port))
            found.listen()
        except OSError:
            found.close()
            raise
        return found

    def identity(self) -> str:
        """Another one when it was made anew; "" while there is none. What listens in a lost one must do so again."""
        if not self.isolated:
            return SHARED
        try:
            with self._handed() as (name, _):
                return name
        except OSError:
            return ""

    @contextlib.contextmanager
    def _handed(self) -> Iterator[tuple[str, list[int]]]:
        """The network's name and the holder's descriptors, see there. Raises OSError where it does not run."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(_ANSWER)
            link.connect(str(self._layout.door))
            name, handed, _, _ = socket.recv_fds(link, 64, 16)
        try:
            if len(handed) < 4:
                raise ConnectionResetError("The network's holder ended")
            yield name.decode(), handed
        finally:
            for descriptor in handed:
                os.close(descriptor)

    def _wait(self, name: str) -> None:
        crashes = Crashes(self._supervisor, self.group, [name])
        deadline = time.monotonic() + _PATIENCE
        while not self.alive():
            if time.monotonic() > deadline or crashes.seen():
                message = f"The network of the environment could not be made.\n{tail(self._log)}".rstrip()
                raise RuntimeFailure("runtime-network", message, by_user=False)
            time.sleep(0.01)
