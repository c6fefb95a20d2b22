"""The private socket at which Git's hooks ask: may this push in (pre-receive), what becomes of it (post-receive)."""

import asyncio
import contextlib
import logging
import os
import secrets
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from deployments.actions import pushes
from deployments.actions.pushes import PushRefused, RefUpdate
from deployments.log_lines import clean
from deployments.ssh import following
from deployments.ssh.people import Person, ask, ask_at_leisure
from portal.errors import SlipwayError

_MAX_REQUEST = 5 * 1024 * 1024
_ASK_SECONDS = 10.0
_HOOKS = ("pre-receive", "post-receive")

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class PushInFlight:
    """A push between the start of receive-pack and its end."""

    person: Person
    project_id: str
    address: str
    no_wait: bool
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    push_id: str = ""
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # the client went away
    holds: asyncio.Lock | None = None

    @property
    def accepted(self) -> bool:
        return bool(self.push_id)


@dataclass(frozen=True)
class Request:
    hook: str
    token: str
    objects: dict[str, str]
    options: list[str]
    updates: list[RefUpdate]


class HookServer:
    def __init__(self) -> None:
        self._in_flight: dict[str, PushInFlight] = {}
        # Between the check and the record of a push no other push to the project moves a ref, so that activities are
        # written in the order in which the refs moved.
        self._locks: dict[str, asyncio.Lock] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        install(settings.HOME.hooks)
        socket = settings.HOME.hook_socket
        socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path=str(socket))
        socket.chmod(0o600)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    @contextlib.asynccontextmanager
    async def push(self, push: PushInFlight) -> AsyncIterator[PushInFlight]:
        """Answer the hooks of this push meanwhile. Afterwards what Git did is recorded, whatever became of its hook."""
        self._in_flight[push.token] = push
        try:
            yield push
        finally:
            del self._in_flight[push.token]
            push.gone.set()  # a hook that outlived its Git must neither let anything in nor keep the lock
            if push.holds is not None:  # post-receive never asked
                try:
                    if push.accepted:
                        await ask_at_leisure(pushes.record, push.push_id)
                finally:
                    self._release(push)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                length = int(await reader.readexactly(8), 16)
                body = await reader.readexactly(length) if length <= _MAX_REQUEST else b""
            request = parse(body)
            code = 1
            try:
                push = self._in_flight.get(request.token)
                if push is not None:
                    answer = self._before if request.hook == "pre-receive" else self._after
                    code = await answer(push, request, writer)
            except PushRefused as refusal:
                _print(writer, refusal.lines)
            except Exception:
                logger.exception("A hook could not be answered")
                _print(writer, ["The push cannot be followed here. See the project's page for what becomes of it."])
            writer.write(b"X%d\n" % code)
            await writer.drain()
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError):
            logger.info("A hook ended its connection early.")
        finally:
            writer.close()

    async def _before(self, push: PushInFlight, request: Request, writer: asyncio.StreamWriter) -> int:
        if len(request.updates) > pushes.MAX_UPDATES:
            raise PushRefused([f"A push may change at most {pushes.MAX_UPDATES} branches and tags at once."])
        lock = self._locks.setdefault(push.project_id, asyncio.Lock())
        await lock.acquire()
        push.holds = lock
        try:
            proposal = await ask_at_leisure(
                lambda: pushes.propose_by_id(
                    push.project_id,
                    user_id=push.person.user_id,
                    updates=request.updates,
                    options=request.options,
                    objects=request.objects,
                    address=push.address,
                )
            )
            if push.gone.is_set():
                await ask(pushes.withdraw, proposal.push.pk)
                self._release(push)
                return 1
        except BaseException as error:
            self._release(push)
            if isinstance(error, PushRefused) or not isinstance(error, Exception):
                raise
            if isinstance(error, SlipwayError):
                raise PushRefused([error.message]) from error
            reference = secrets.token_hex(4)
            logger.exception("A push could not be checked (%s)", reference)
            raise PushRefused(
                [f"Slipway could not check the push (error {reference}). Nothing was changed."]
            ) from error
        push.push_id = proposal.push.pk
        _print(writer, proposal.notes)
        return 0

    async def _after(self, push: PushInFlight, request: Request, writer: asyncio.StreamWriter) -> int:
        moved = [update.ref for update in request.updates]
        try:
            activities = await ask_at_leisure(pushes.record, push.push_id, moved)
        finally:
            self._release(push)
        if push.no_wait:
            _print(writer, following.announcement(activities))
            return 0
        async for lines in following.follow(activities, push.gone):
            _print(writer, lines)
            await writer.drain()
        return 0

    def _release(self, push: PushInFlight) -> None:
        if push.holds is not None:
            lock, push.holds = push.holds, None
            lock.release()


def parse(body: bytes) -> Request:
    """Raises ValueError."""
    *head, count, rest = body.split(b"\0", 6)
    if len(head) != 5:
        raise ValueError("not a hook's request")
    *options, updates = rest.split(b"\0", int(count))
    hook, token, directory, alternates, quarantine = (os.fsdecode(part) for part in head)
    names = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")
    objects = {name: value for name, value in zip(names, (directory, alternates, quarantine), strict=True) if value}
    lines = updates.decode("utf-8", "surrogateescape").rstrip("\n").split("\n")
    return Request(
        hook=hook,
        token=token,
        objects=objects,
        options=[option.decode("utf-8", "replace") for option in options],
        updates=[RefUpdate(ref, old, new) for old, new, ref in (line.split(" ", 2) for line in lines)],
    )


def install(folder: Path) -> None:
    """Write the two hooks, with an interpreter that needs no search for its library."""
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("hook.py").read_text()
    interpreter = os.path.realpath(sys.executable)
    for name in _HOOKS:
        fresh = folder / f".{name}"
        fresh.write_text(f"#!{interpreter} -IS\n{script}")
        fresh.chmod(0o755)
        fresh.rename(folder / name)


def _print(writer: asyncio.StreamWriter, lines: Sequence[str]) -> None:
    if not writer.is_closing():
        # What strangers wrote neither ends Git's line early nor draws over it. Colours stay.
        shown = (clean(line.replace("\n", " ")) for line in lines)
        writer.write("".join(f"P{line}\n" for line in shown).encode("utf-8", "replace"))
