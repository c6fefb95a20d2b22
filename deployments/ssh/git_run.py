"""A Git program with exact arguments."""

from pathlib import Path

from django.conf import settings

from deployments.ssh.commands import Service
from deployments.ssh.hooks import PushInFlight
from deployments.ssh.run import Client, Run
from environments import repositories

IDLE = 600.0  # seconds without a byte either way, while it is the client's turn or Git's
_STDERR_MAX = 16 * 1024


class GitRun(Run):
    def __init__(self, service: Service, repository: Path, client: Client, push: PushInFlight | None) -> None:
        super().__init__(client)
        self._service, self._repository, self._push = service, repository, push
        self._errors = 0

    async def serve(self, protocol: str | None) -> int:
        return await self.run(self._argv(), self._environment(protocol))

    def is_idle(self, now: float) -> bool:
        return self._may_be_killed() and now - self.last_byte > IDLE

    def _may_be_killed(self) -> bool:
        """Before Git has moved a ref everything ends with the client; from then on Git finishes, unheard."""
        return self._push is None or not self._push.accepted

    def _error(self, data: bytes) -> None:
        self._errors += len(data)
        if self._errors <= _STDERR_MAX:
            # Paths on this host are nobody's business.
            super()._error(data.replace(str(self._repository).encode(), self._repository.name.encode()))

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
