"""Tunnels of one connection: only to what the program's relationships name, and only while the person may be there."""

import asyncio
import base64
import json
import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import asyncssh

from deployments.actions import ssh_sessions
from deployments.models import SSHSession
from deployments.pipeline import specs
from deployments.ssh import people
from deployments.ssh.channel import enforce_window
from deployments.ssh.people import Person, ask_to_enter
from environments import runtimes
from environments.runtimes.base import Place, ProgramSpec
from portal.errors import SlipwayError

IDLE = 8 * 3600.0  # seconds without a byte either way
MOST = 100  # at once in one connection

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    place: Place
    address: str
    port: int


def targets(program: ProgramSpec) -> dict[tuple[str, int], str]:
    """(host name or address, port) -> address, of everything that the program's relationships lead to."""
    found: dict[tuple[str, int], str] = {}
    relationships: Mapping[str, list[Mapping[str, object]]] = json.loads(
        base64.b64decode(program.env["PLATFORM_RELATIONSHIPS"])
    )
    for name, entries in relationships.items():
        for entry in entries:
            address, port = str(entry["ip"]), int(str(entry["port"]))
            found |= {(f"{name}.internal", port): address, (address, port): address}
    return found


@dataclass(eq=False)
class Tunnels:
    person: Person
    user_name: str
    address: str
    open: "set[Tunnel]" = field(default_factory=set)
    session: SSHSession | None = None
    received: int = 0
    sent: int = 0
    to: list[str] = field(default_factory=list)  # hosts and ports
    reason: str = ""
    last_byte: float = field(default_factory=time.monotonic)
    _began: float = field(default_factory=time.monotonic)
    _recording: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def session_id(self) -> int | None:
        return self.session.pk if self.session else None

    @property
    def environment_id(self) -> int | None:
        return self.session.environment_id if self.session else None

    async def begin(self, host: str, port: int) -> "Tunnel":
        """Raises ChannelOpenError with the reason."""
        if self.reason or len(self.open) >= MOST:
            raise _prohibited(self.reason or f"More than {MOST} tunnels are open.")
        try:
            async with self._recording:
                target, self.session = await ask_to_enter(self._find, host.rstrip(".").lower(), port, self.session)
        except SlipwayError as error:
            raise _prohibited(error.message) from error
        try:
            ours = await ask_to_enter(runtimes.get().connect, target.place, target.address, target.port)
        except OSError as error:
            reason = f"{host}:{port} does not answer: {error.strerror or error}"
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, reason) from error
        named = f"{host}:{port}"
        if named not in self.to:
            self.to.append(named)
        return await Tunnel.over(ours, self)

    def _find(self, host: str, port: int, session: SSHSession | None) -> tuple[Target, SSHSession]:
        way = people.way(self.person.user_id, self.user_name, self.address)
        spec = specs.release_spec(way.release)
        program = next(each for each in spec.programs if each.name == way.program)
        known = targets(program)
        if (host, port) not in known:
            named = ", ".join(f"{name}:{number}" for name, number in known if name.endswith(".internal"))
            there = f"{way.program} reaches {named}" if named else f"{way.program} has no relationship"
            raise SlipwayError(f"Tunnels lead only to the environment's own services: {there}.")
        if session is None:
            session = ssh_sessions.open_session(way, kind=SSHSession.Kind.TUNNEL, address=self.address)
        return Target(spec.place, known[host, port], port), session

    def is_idle(self, now: float) -> bool:
        return bool(self.open) and now - self.last_byte > IDLE

    def end(self, reason: str) -> None:
        self.reason = reason
        for tunnel in tuple(self.open):
            tunnel.cut()

    async def close(self) -> None:
        """The connection is gone."""
        for tunnel in tuple(self.open):
            tunnel.cut()
        async with self._recording:
            session, self.session = self.session, None
        if session is not None:
            await ask_to_enter(self._record_end, session)

    def _record_end(self, session: SSHSession) -> None:
        reason = {"reason": self.reason} if self.reason else {}
        seconds = round(time.monotonic() - self._began, 1)
        ssh_sessions.end_session(session, to=self.to, received=self.received, sent=self.sent, seconds=seconds, **reason)


class Tunnel(asyncssh.SSHTCPSession[bytes]):
    """One channel and its connection into the environment."""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels
        self._channel: asyncssh.SSHTCPChannel[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._holds = 0  # bit 1: the channel is full, bit 2: the network is, bit 4: there is no channel yet
        self._ended = 0  # bit 1: the client sends no more, bit 2: the service

    @classmethod
    async def over(cls, ours: socket.socket, tunnels: Tunnels) -> "Tunnel":
        tunnel = cls(tunnels)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: _Service(tunnel), sock=ours)
        tunnels.open.add(tunnel)
        return tunnel

    # What asyncssh calls

    def connection_made(self, chan: "asyncssh.SSHTCPChannel[bytes]") -> None:
        self._channel = chan
        enforce_window(chan)

    def session_started(self) -> None:
        self._set_hold(4, False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._channel = None
        self.cut()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._tunnels.received += len(data)
        self._tunnels.last_byte = time.monotonic()
        if self._transport is not None:
            self._transport.write(data)

    def eof_received(self) -> bool:
        self._end(1)
        if self._transport is not None and self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        return True

    def pause_writing(self) -> None:
        self._set_hold(1, True)

    def resume_writing(self) -> None:
        self._set_hold(1, False)

    # What the service's side calls

    def connected(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._set_hold(4, True)

    def deliver(self, data: bytes) -> None:
        self._tunnels.sent += len(data)
        self._tunnels.last_byte = time.monotonic()
        if self._channel is not None:
            self._channel.write(data)

    def service_ended(self) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write_eof()
        self._end(2)

    def service_gone(self) -> None:
        self._tunnels.open.discard(self)
        if self._channel is not None:
            self._channel.close()

    def client_must_wait(self, on: bool) -> None:
        if self._channel is not None:
            if on:
                self._channel.pause_reading()
            else:
                self._channel.resume_reading()

    # What the connection asks

    def hold(self, on: bool) -> None:
        self._set_hold(2, on)

    def cut(self) -> None:
        self._tunnels.open.discard(self)
        if self._transport is not None:
            self._transport.abort()
        if self._channel is not None:
            self._channel.close()

    def _end(self, side: int) -> None:
        self._ended |= side
        if self._ended == 3 and self._transport is not None:
            self._transport.close()  # what is still to be written goes first

    def _set_hold(self, reason: int, on: bool) -> None:
        before, self._holds = self._holds, self._holds | reason if on else self._holds & ~reason
        if self._transport is not None and not self._transport.is_closing() and bool(before) != bool(self._holds):
            if self._holds:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()


class _Service(asyncio.Protocol):
    """The end of the connection that lies in the environment."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._tunnel.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._tunnel.deliver(data)

    def eof_received(self) -> bool:
        self._tunnel.service_ended()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._tunnel.service_gone()

    def pause_writing(self) -> None:
        self._tunnel.client_must_wait(True)

    def resume_writing(self) -> None:
        self._tunnel.client_must_wait(False)


def _prohibited(reason: str) -> asyncssh.ChannelOpenError:
    return asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, reason)
