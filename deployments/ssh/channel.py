"""What every channel of a connection does, whatever runs on it: bytes both ways, back-pressure, one task, an exit."""

import asyncio
import logging
import signal
from abc import ABC, abstractmethod
from typing import Any

import asyncssh

from deployments.ssh.people import Person
from deployments.ssh.run import Client, Run
from portal.errors import SlipwayError

_MOST_EARLY = 65536  # bytes that a client sends before its program is there, until it is told to wait

logger = logging.getLogger(__name__)


class Channel(asyncssh.SSHServerSession[bytes], ABC):
    """A subclass carries out `serve`, and says with `take` which run gets the client's bytes."""

    def __init__(self, person: Person, user_name: str, address: str, siblings: "set[Channel]") -> None:
        self._person, self._user_name, self._address = person, user_name, address
        self._siblings = siblings
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._command: str | None = None
        self._run: Run | None = None
        self._early: list[bytes] = []
        self._holds = 0  # bit 1: the channel is full, bit 2: the network is
        self._ended = False
        self.task: asyncio.Task[None] | None = None
        self.project_id = ""  # of the repository that it works on, while it does

    @abstractmethod
    async def serve(self) -> int:
        """Carry out what was asked; returns the exit code, or minus a signal."""

    # What asyncssh calls

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan
        enforce_window(chan)
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

    def session_started(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._run is not None:
            self._run.write(data)
        else:
            self._early.append(data)
            if sum(map(len, self._early)) > _MOST_EARLY:
                self._pause_client()

    def eof_received(self) -> bool:
        self._ended = True
        if self._run is not None:
            self._run.end_input()
        return True

    def pause_writing(self) -> None:
        self._set_hold(1, True)

    def resume_writing(self) -> None:
        self._set_hold(1, False)

    def break_received(self, msec: int) -> bool:
        return False

    # What the connection asks

    def hold(self, on: bool) -> None:
        self._set_hold(2, on)

    def client_gone(self) -> None:
        if self._run is not None:
            self._run.client_gone()

    @abstractmethod
    def is_idle(self, now: float) -> bool:
        """Whether it may be ended because nothing has moved for too long."""

    # What subclasses use

    @property
    def client(self) -> Client:
        return Client(self.write, self.write_error, on_full=self._pause_client, on_room=self._resume_client)

    def take(self, run: Run) -> None:
        """From now on the run gets what the client sends, beginning with what it has sent already."""
        self._run = run
        for data in self._early:
            run.write(data)
        self._early.clear()
        if not run.stdin.full:
            self._resume_client()
        if self._ended:
            run.end_input()
        if self._holds:
            run.pause()

    def say(self, line: str) -> None:
        self.write_error(f"{line}\n".encode("utf-8", "replace"))

    def write(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write(data)

    def write_error(self, data: bytes) -> None:
        if self._channel is not None:
            self._channel.write_stderr(data)

    def environment(self, name: str) -> bytes:
        """A variable that the client has sent; b"" when it has not."""
        sent: Any = self._channel.get_environment_bytes() if self._channel is not None else {}
        return bytes(sent.get(name.encode(), b""))

    async def _serve(self) -> None:
        code = 1
        try:
            code = await self.serve()
        except SlipwayError as error:
            self.say(error.message)
        except Exception:
            logger.exception("A command could not be carried out")
            self.say("Slipway could not carry this out. Try again in a moment.")
        finally:
            if self._channel is not None:
                self._leave(self._channel, code)

    @staticmethod
    def _leave(channel: "asyncssh.SSHServerChannel[bytes]", code: int) -> None:
        if code < 0:
            channel.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            channel.exit(code if code < 256 else 128)

    def _pause_client(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume_client(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    def _set_hold(self, reason: int, on: bool) -> None:
        before, self._holds = self._holds, self._holds | reason if on else self._holds & ~reason
        if self._run is not None and bool(before) != bool(self._holds):
            if self._holds:
                self._run.pause()
            else:
                self._run.resume()


def enforce_window(channel: Any) -> None:
    """asyncssh counts what a client may send, but keeps what one sends beyond it: without end, while Git is busy."""
    accept = channel._accept_data

    def guarded(data: bytes, datatype: int | None = None) -> None:
        if len(data) > channel._recv_window:
            raise asyncssh.ProtocolError("More data than the window allows")
        accept(data, datatype)

    channel._accept_data = guarded
