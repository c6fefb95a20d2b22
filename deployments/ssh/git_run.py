"""One Git program for one channel: started with exact arguments, pumped, and ended when its client goes away."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from deployments.ssh.commands import Service
from deployments.ssh.hooks import PushInFlight
from deployments.ssh.pump import Sink, Tap
from environments import process, repositories

IDLE = 600.0  # seconds without a byte either way, while it is the client's turn or Git's
_AFTER_EXIT = 5.0  # seconds to read what a program left in its pipes
_STDERR_MAX = 16 * 1024


class GitRun:
    """`deliver` gets output, `deliver_error` what Git says beside it; `on_full` and `on_room` hold the client back."""

    def __init__(
        self,
        service: Service,
        repository: Path,
        *,
        deliver: Callable[[bytes], None],
        deliver_error: Callable[[bytes], None],
        on_full: Callable[[], None],
        on_room: Callable[[], None],
        push: PushInFlight | None,
    ) -> None:
        self._service, self._repository, self._push = service, repository, push
        self._deliver, self._deliver_error = deliver, deliver_error
        self.stdin = Sink(on_full, on_room)
        self.stdout = Tap(self._output)
        self._stderr = Tap(self._error)
        self._errors = 0
        self._client_gone = False
        self._process: asyncio.subprocess.Process | None = None
        self.last_byte = time.monotonic()

    async def run(self, protocol: str | None) -> int:
        """Git's exit code, once all of its output has been handed on."""
        theirs = (self.stdin.theirs, self.stdout.theirs, self._stderr.theirs)
        try:
            self._process = await process.spawn(
                self._argv(), env=self._environment(protocol), stdin=theirs[0], stdout=theirs[1], stderr=theirs[2]
            )
        finally:
            for end in theirs:
                os.close(end)
        try:
            if self._client_gone:
                self.client_gone()
            code = await self._process.wait()
            try:
                async with asyncio.timeout(None if not self._client_gone else _AFTER_EXIT):
                    await self.stdout.ended.wait()
                    await self._stderr.ended.wait()
            except TimeoutError:
                pass
            return code
        finally:
            process.kill_group(self._process.pid)
            self.close()

    def client_gone(self) -> None:
        """Before Git has moved a ref everything ends here; from then on Git finishes, unheard."""
        self._client_gone = True
        self.stdin.end()
        self.stdout.resume()
        if self._process is not None and not (self._push is not None and self._push.accepted):
            process.kill_group(self._process.pid)

    def is_idle(self, now: float) -> bool:
        accepted = self._push is not None and self._push.accepted
        return not accepted and now - self.last_byte > IDLE

    def close(self) -> None:
        self.stdin.close()
        self.stdout.close()
        self._stderr.close()

    def write(self, data: bytes) -> None:
        self.last_byte = time.monotonic()
        self.stdin.write(data)

    def _output(self, data: bytes) -> None:
        self.last_byte = time.monotonic()
        if not self._client_gone:
            self._deliver(data)

    def _error(self, data: bytes) -> None:
        self._errors += len(data)
        if not self._client_gone and self._errors <= _STDERR_MAX:
            # Paths on this host are nobody's business.
            self._deliver_error(data.replace(str(self._repository).encode(), self._repository.name.encode()))

    def _argv(self) -> list[str]:
        options = [f"safe.directory={self._repository}"]
        if self._service is Service.UPLOAD:
            last = ["upload-pack", "--strict", f"--timeout={int(IDLE)}", "--", str(self._repository)]
        else:
            options += [
                f"core.hooksPath={settings.HOME.hooks}",
                f"receive.maxInputSize={settings.PUSH_MAX_BYTES}",
                # Within the limit below, also with large packs that are there already.
                "core.packedGitLimit=1g",
                "core.packedGitWindowSize=64m",
            ]
            last = ["receive-pack", "--", str(self._repository)]
        git = ["git", *(part for option in options for part in ("-c", option)), *last]
        # What is received may be made to unpack without end; the limit holds for every Git that it starts.
        limited = ["prlimit", f"--as={settings.PUSH_MEMORY}", "--", *git]
        return limited if self._service is Service.RECEIVE else git

    def _environment(self, protocol: str | None) -> dict[str, str]:
        extra = {"GIT_PROTOCOL": protocol} if protocol else {}
        if self._push is not None:
            extra |= {"SLIPWAY_PUSH": self._push.token, "SLIPWAY_HOOK_SOCKET": str(settings.HOME.hook_socket)}
        return repositories.environment(extra)
