"""The SSH front door: who gets in, what they may ask for, and when they must leave again."""

import asyncio
import contextlib
import logging
import os
import time
from dataclasses import dataclass, field

import asyncssh
from django.conf import settings

from deployments.ssh import people
from deployments.ssh.commands import is_known_user
from deployments.ssh.hooks import HookServer
from deployments.ssh.limits import Limits
from deployments.ssh.people import Person, ask
from deployments.ssh.work import Work

_LOGIN_SECONDS = 20
_KEEPALIVE_SECONDS = 15
_LOOK_SECONDS = 2.0  # between two looks at what has been taken away
_LAST_SECONDS = 5.0  # for pushes that were let in, when the process is told to stop
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


class Visitor(asyncssh.SSHServer):
    """One connection."""

    def __init__(self, doors: Doors) -> None:
        self.doors = doors
        self.address = ""
        self.user_name = ""
        self.person: Person | None = None  # once signed in
        self.work: set[Work] = set()
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

    def session_requested(self) -> "Work":
        assert self.person is not None
        return Work(self.doors.hooks, self.person, self.user_name, self.address, self.work)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    def _hold(self, on: bool) -> None:
        for work in self.work:
            work.hold(on)


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
        allow_pty=False,
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
        watching = asyncio.create_task(_watch(doors))
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


async def _watch(doors: Doors) -> None:
    """Every two seconds: end what is no longer allowed, and what has gone silent."""
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = time.monotonic()
        doors.limits.forget(now)
        visitors = [visitor for visitor in doors.open if visitor.person is not None]
        if not visitors:
            continue
        try:
            keys, work = await ask(_lost, visitors)
        except Exception:
            logger.exception("It could not be checked whether connections are still allowed")
            continue
        for visitor in visitors:
            assert visitor.person is not None
            taken = {(visitor.person.user_id, each.project_id) for each in visitor.work} & work
            if visitor.person.key_id in keys or taken or any(each.is_idle(now) for each in visitor.work):
                logger.info("Connection of %s ended: no longer allowed, or silent for too long", visitor.person.name)
                visitor.close()


def _lost(visitors: "list[Visitor]") -> tuple[set[int], set[tuple[int, str]]]:
    signed_in = [(visitor.person, visitor) for visitor in visitors if visitor.person is not None]
    work = [(person.user_id, each.project_id) for person, visitor in signed_in for each in tuple(visitor.work)]
    return people.lost([person for person, _ in signed_in], [pair for pair in work if pair[1]])
