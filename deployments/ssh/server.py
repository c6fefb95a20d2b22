"""The SSH front door: who gets in, what they may ask for, and when they must leave again."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

import asyncssh
from django.conf import settings

from deployments.ssh import people
from deployments.ssh.channel import Channel
from deployments.ssh.commands import is_environment_user, is_known_user
from deployments.ssh.hooks import HookServer
from deployments.ssh.limits import Limits
from deployments.ssh.people import Person, ask
from deployments.ssh.shell import Shell
from deployments.ssh.tunnels import Tunnel, Tunnels
from deployments.ssh.watching import watch
from deployments.ssh.work import Work

_LOGIN_SECONDS = 20
_KEEPALIVE_SECONDS = 15
_LAST_SECONDS = 5.0  # for pushes that were let in, and for what must be recorded, when the process is told to stop
_MAX_KEYS = 20  # offered in one connection
_WINDOW = 4 * 1024 * 1024
_PACKET = 64 * 1024
# AES-GCM only: in this process it moves twice as many bytes as the alternatives, and every client since 2013 has it.
_CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com"]
_KEX = ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384"]
_RSA_SIGNATURES = {b"rsa-sha2-256", b"rsa-sha2-512"}
_SIGNATURES = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
]

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Doors:
    """What all connections of this process share."""

    hooks: HookServer = field(default_factory=HookServer)
    limits: Limits = field(default_factory=Limits)
    open: "set[Visitor]" = field(default_factory=set)
    endings: set[asyncio.Task[None]] = field(default_factory=set)  # what is recorded of connections that are gone

    @property
    def visitors(self) -> "tuple[Visitor, ...]":
        return tuple(self.open)


class Visitor(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, doors: Doors) -> None:
        self.doors = doors
        self.address = ""
        self.user_name = ""
        self.person: Person | None = None  # once signed in
        self.work: set[Channel] = set()
        self.tunnels: Tunnels | None = None
        self._connection: asyncssh.SSHServerConnection | None = None
        self._offered: dict[str, Person | None] = {}
        self._latest: Person | None = None
        self._counted = False

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self.address = str((conn.get_extra_info("peername") or ("",))[0])
        refusal = self.doors.limits.refusal(self.address, time.monotonic())
        if refusal is not None:
            logger.info("Connection from %s not let in: %s", self.address, refusal)
            conn.abort()
            return
        self.doors.limits.enter(self.address)
        self._counted = True
        self.doors.open.add(self)
        # asyncssh itself does not hold back when the network does: without this a client that stops reading would
        # have everything it asked for waiting in this process.
        conn.pause_writing = lambda: self._hold(True)  # type: ignore[method-assign]
        conn.resume_writing = lambda: self._hold(False)  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        self.doors.open.discard(self)
        if self._counted:
            self.doors.limits.leave(self.address, self.person.user_id if self.person else None)
            if self.person is None and self._offered:
                self.doors.limits.fail(self.address, time.monotonic())
        for work in tuple(self.work):
            work.client_gone()
        if self.tunnels is not None:
            ending = asyncio.get_running_loop().create_task(self.tunnels.close())
            self.doors.endings.add(ending)
            ending.add_done_callback(self.doors.endings.discard)

    def begin_auth(self, username: str) -> bool:
        self.user_name = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if not self._counted or not is_known_user(username):
            return False
        fingerprint = key.get_fingerprint("sha256")
        if fingerprint not in self._offered:
            if len(self._offered) >= _MAX_KEYS:
                self.close()
                return False
            self._offered[fingerprint] = await ask(people.by_fingerprint, fingerprint)
        if key.get_algorithm() == "ssh-rsa":
            key.all_sig_algorithms = _RSA_SIGNATURES  # no SHA-1: this very object verifies the signature
        # The last key asked about is the one whose signature completes the sign-in.
        self._latest = self._offered[fingerprint]
        return self._latest is not None

    def auth_completed(self) -> None:
        assert self._latest is not None
        self.person = self._latest
        if not self.doors.limits.sign_in(self.address, self.person.user_id):
            self.close()
            return
        self._noting = asyncio.ensure_future(ask(people.note_use, self.person.key_id, self.address))

    def session_requested(self) -> Channel:
        assert self.person is not None
        if is_environment_user(self.user_name):
            return Shell(self.person, self.user_name, self.address, self.work)
        return Work(self.doors.hooks, self.person, self.user_name, self.address, self.work)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> "Awaitable[Tunnel]":
        """A tunnel (-L, -W, -D). Those that are asked of us (-R), to Unix sockets, for X11 and agents are not known."""
        if self.person is None or not is_environment_user(self.user_name):
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "Tunnels lead to environments.")
        if self.tunnels is None:
            self.tunnels = Tunnels(self.person, self.user_name, self.address)
        return self.tunnels.begin(dest_host, dest_port)  # asyncssh awaits it and answers the client then

    def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    def _hold(self, on: bool) -> None:
        for each in [*self.work, *(self.tunnels.open if self.tunnels else ())]:
            each.hold(on)


async def serve(stop: asyncio.Event, *, host: str = "", port: int, ready: asyncio.Future[int] | None = None) -> None:
    """Listen until `stop` is set. `ready` gets the port that was taken. Raises OSError when it cannot be had."""
    doors = Doors()
    server = await asyncssh.create_server(
        lambda: Visitor(doors),
        host,
        port,
        server_host_keys=[host_key()],
        backlog=1024,
        reuse_address=True,
        login_timeout=_LOGIN_SECONDS,
        keepalive_interval=_KEEPALIVE_SECONDS,
        keepalive_count_max=4,
        password_auth=False,
        kbdint_auth=False,
        host_based_auth=False,
        gss_host=None,
        allow_pty=True,
        line_editor=False,
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        encoding=None,
        compression_algs=None,
        encryption_algs=_CIPHERS,
        kex_algs=_KEX,
        signature_algs=_SIGNATURES,
        window=_WINDOW,
        max_pktsize=_PACKET,
        server_version="Slipway",
    )
    try:
        # After the port, which tells whether another process is doing this already: its socket must not be taken away.
        await doors.hooks.start()
        if ready is not None:
            ready.set_result(server.get_port())
        watching = asyncio.create_task(watch(doors))
        await stop.wait()
        watching.cancel()
    finally:
        server.close()
        await _send_home(doors)
        await doors.hooks.stop()


async def _send_home(doors: Doors) -> None:
    """End all connections; a push that was let in may finish, so that what Git did is recorded."""
    visitors = tuple(doors.open)
    tasks = [work.task for visitor in visitors for work in visitor.work if work.task is not None]
    for visitor in visitors:
        visitor.close()
    await asyncio.sleep(0)  # by then each has heard of its end
    tasks += doors.endings
    if tasks:
        await asyncio.wait(tasks, timeout=_LAST_SECONDS)


def host_key() -> asyncssh.SSHKey:
    """The server's key, made once."""
    path = settings.HOME.ssh_host_key
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        key = asyncssh.generate_private_key("ssh-ed25519", comment="slipway")
        fresh = path.with_name(f".{path.name}-{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(key.export_private_key("openssh"))
        with contextlib.suppress(FileExistsError):  # another process was first; its key counts
            os.link(fresh, path)
        fresh.unlink()
        path.with_name(f"{path.name}.pub").write_bytes(asyncssh.read_private_key(str(path)).export_public_key())
    return asyncssh.read_private_key(str(path))
