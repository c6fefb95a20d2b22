"""One program for one channel: its output is handed on whole, and it ends when its client goes away."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deployments.ssh.pump import Sink, Tap
from deployments.ssh.terminal import END_OF_INPUT, Terminal
from environments import process

_AFTER_EXIT = 5.0  # seconds to read what a program left in its pipes
# Before an argument list: the kernel ends the program when this process dies, however it dies.
WITH_US = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(frozen=True)
class Client:
    """The other end of a run. `deliver` gets output, `deliver_error` what is said beside it; `on_full` and `on_room`
    hold the client back."""

    deliver: Callable[[bytes], None]
    deliver_error: Callable[[bytes], None]
    on_full: Callable[[], None]
    on_room: Callable[[], None]


class Run:
    def __init__(self, client: Client, terminal: Terminal | None = None) -> None:
        self._client = client
        self._terminal = terminal
        self._client_gone = False
        self._process: asyncio.subprocess.Process | None = None
        self._signalled: signal.Signals | None = None
        self.last_byte = time.monotonic()
        self.received = self.sent = 0  # bytes from the client and to it
        if terminal is None:
            self.stdin = Sink(client.on_full, client.on_room)
            self.taps = [Tap(self._output), Tap(self._error)]
            self._theirs = (self.stdin.theirs, *(tap.theirs for tap in self.taps))
        else:
            ours, theirs = terminal.open()
            self.stdin = Sink(client.on_full, client.on_room, fd=os.dup(ours))
            self.taps = [Tap(self._output, fd=ours)]
            self._theirs = (theirs, theirs, theirs)

    async def run(self, argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """The program's exit code, or minus the signal that ended it, once all of its output has been handed on."""
        stdin, stdout, stderr = self._theirs
        try:
            self._process = await process.spawn(argv, env=env, stdin=stdin, stdout=stdout, stderr=stderr)
        finally:
            for end in set(self._theirs):
                os.close(end)
        try:
            if self._client_gone:
                self.client_gone()
            code = await self._process.wait()
            try:
                async with asyncio.timeout(None if not self._client_gone else _AFTER_EXIT):
                    for tap in self.taps:
                        await tap.ended.wait()
            except TimeoutError:
                pass
            # A sandbox tells of a signal as shells do.
            return -self._signalled if self._signalled and code == 128 + self._signalled else code
        finally:
            process.kill_group(self._process.pid)
            self.close()

    def client_gone(self) -> None:
        self._client_gone = True
        self.stdin.end()
        for tap in self.taps:
            tap.resume()
        if self._may_be_killed():
            self.kill()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            process.kill_group(self._process.pid)

    def signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._signalled = number
        if number is signal.SIGKILL or not (self._terminal and self._terminal.signal(number)):
            process.kill_group(self._process.pid, number)

    def end_input(self) -> None:
        if self._terminal is not None:
            self.stdin.write(END_OF_INPUT)
        else:
            self.stdin.end()

    def close(self) -> None:
        if self._terminal is not None:
            self._terminal.master = -1
        self.stdin.close()
        for tap in self.taps:
            tap.close()

    def write(self, data: bytes) -> None:
        self.last_byte = time.monotonic()
        self.received += len(data)
        self.stdin.write(data)

    def pause(self) -> None:
        for tap in self.taps:
            tap.pause()

    def resume(self) -> None:
        for tap in self.taps:
            tap.resume()

    def _may_be_killed(self) -> bool:
        """Whether the program ends when nobody hears it any more."""
        return True

    def _output(self, data: bytes) -> None:
        self.last_byte = time.monotonic()
        self.sent += len(data)
        if not self._client_gone:
            self._client.deliver(data)

    def _error(self, data: bytes) -> None:
        self.last_byte = time.monotonic()
        self.sent += len(data)
        if not self._client_gone:
            self._client.deliver_error(data)
