"""One channel of a connection: a Git command, or a polite line and the end."""

import asyncio
import logging
import shutil
import time
from typing import Any

import asyncssh
from django.conf import settings

from deployments.ssh import people
from deployments.ssh.commands import GitCommand, Service, fits_user, git_protocol, is_environment_user, parse
from deployments.ssh.git_run import GitRun
from deployments.ssh.hooks import HookServer, PushInFlight
from deployments.ssh.people import Person, ask

_MIN_FREE = 256 * 1024**2  # bytes on the disk below which nothing is taken in
_NOT_FOUND = "There is no such project, or you have no access to it."

logger = logging.getLogger(__name__)


class Work(asyncssh.SSHServerSession[bytes]):
    def __init__(self, hooks: HookServer, person: Person, user_name: str, address: str, siblings: "set[Work]") -> None:
        self._hooks, self._person, self._user_name, self._address = hooks, person, user_name, address
        self._siblings = siblings
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._command: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._run: GitRun | None = None
        self._push: PushInFlight | None = None
        self._early: list[bytes] = []  # what the client sent before Git was there
        self._holds = 0  # bit 1: the channel is full, bit 2: the network is
        self._ended = False
        self.project_id = ""

    # What asyncssh calls

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan
        _enforce_window(chan)
        self._siblings.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.client_gone()
        self._channel = None
        self._siblings.discard(self)

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._command = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._command = ""
        return True

    def session_started(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._run is not None:
            self._run.write(data)
        elif sum(map(len, self._early)) < 65536:
            self._early.append(data)

    def eof_received(self) -> bool:
        self._ended = True
        if self._run is not None:
            self._run.stdin.end()
        return True

    def pause_writing(self) -> None:
        self._set_hold(1, True)

    def resume_writing(self) -> None:
        self._set_hold(1, False)

    def break_received(self, msec: int) -> bool:
        return False

    # What the connection asks

    @property
    def task(self) -> "asyncio.Task[None] | None":
        return self._task

    def hold(self, on: bool) -> None:
        self._set_hold(2, on)

    def client_gone(self) -> None:
        if self._push is not None:
            self._push.gone.set()
        if self._run is not None:
            self._run.client_gone()

    def is_idle(self, now: float) -> bool:
        return self._run is not None and self._run.is_idle(now)

    # What is done

    async def _serve(self) -> None:
        code = 1
        try:
            asked = parse(self._command) if self._command else None
            if asked is None:
                self._say(self._refusal())
            elif not fits_user(self._user_name, asked.project_id) or not await ask(
                people.readable, self._person.user_id, asked.project_id
            ):
                self._say(_NOT_FOUND)
            else:
                code = await self._git(asked)
        except Exception:
            logger.exception("A command could not be carried out")
            self._say("Slipway could not carry this out. Try again in a moment.")
        finally:
            if self._channel is not None:
                self._channel.exit(code if 0 <= code < 256 else 128)

    def _refusal(self) -> str:
        if is_environment_user(self._user_name):
            return "Shell access comes through this name; it is not available yet for this environment."
        if self._command is None:
            return f"Hello {self._person.name}, you are signed in. There is no shell here: this name is for git."
        return "Only git clone, fetch and push of a project's repository are possible here."

    async def _git(self, asked: GitCommand) -> int:
        repository = settings.HOME.repository(asked.project_id)
        if not repository.exists():
            self._say("The project's repository is still being made. Try again in a moment.")
            return 1
        if asked.service is Service.RECEIVE and shutil.disk_usage(repository).free < _MIN_FREE:
            self._say("There is no space left on the server, so nothing can be pushed. Nothing was changed.")
            return 1
        self.project_id = asked.project_id
        if asked.service is Service.UPLOAD:
            return await self._run_git(asked, None)
        env: Any = self._channel.get_environment_bytes() if self._channel is not None else {}
        no_wait = env.get(b"PLATFORMSH_PUSH_NO_WAIT", b"") in (b"1", b"true")
        push = PushInFlight(self._person, asked.project_id, self._address, no_wait)
        async with self._hooks.push(push):
            self._push = push
            return await self._run_git(asked, push)

    async def _run_git(self, asked: GitCommand, push: PushInFlight | None) -> int:
        channel = self._channel
        if channel is None:  # gone meanwhile
            return 1
        run = GitRun(
            asked.service,
            settings.HOME.repository(asked.project_id),
            deliver=self._write,
            deliver_error=self._write_error,
            on_full=lambda: self._channel.pause_reading() if self._channel else None,
            on_room=lambda: self._channel.resume_reading() if self._channel else None,
            push=push,
        )
        self._run = run
        for data in self._early:
            run.write(data)
        self._early.clear()
        if self._ended:
            run.stdin.end()
        started = time.monotonic()
        try:
            code = await run.run(git_protocol(channel.get_environment_bytes().get(b"GIT_PROTOCOL")))
        finally:
            run.close()
        took = time.monotonic() - started
        logger.info("%s %s by %s: %s in %.1f s", asked.service, asked.project_id, self._person.name, code, took)
        return code

    def _say(self, line: str) -> None:
        self._write_error(f"{line}\n".encode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write(data)

    def _write_error(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write_stderr(data)

    def _set_hold(self, reason: int, on: bool) -> None:
        before, self._holds = self._holds, self._holds | reason if on else self._holds & ~reason
        if self._run is not None and bool(before) != bool(self._holds):
            if self._holds:
                self._run.stdout.pause()
            else:
                self._run.stdout.resume()


def _enforce_window(channel: Any) -> None:
    """asyncssh counts what a client may send, but keeps what one sends beyond it: without end, while Git is busy."""
    accept = channel._accept_data

    def guarded(data: bytes, datatype: int | None = None) -> None:
        if len(data) > channel._recv_window:
            raise asyncssh.ProtocolError("More data than the window allows")
        accept(data, datatype)

    channel._accept_data = guarded
