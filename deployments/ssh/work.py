"""A channel for Git: one of its commands, or a polite line and the end."""

import logging
import shutil
import time

from django.conf import settings

from deployments.ssh import people
from deployments.ssh.channel import Channel
from deployments.ssh.commands import GitCommand, Service, fits_user, git_protocol, parse
from deployments.ssh.git_run import GitRun
from deployments.ssh.hooks import HookServer, PushInFlight
from deployments.ssh.people import Person, ask

_MIN_FREE = 256 * 1024**2  # bytes on the disk below which nothing is taken in
_NOT_FOUND = "There is no such project, or you have no access to it."

logger = logging.getLogger(__name__)


class Work(Channel):
    def __init__(self, hooks: HookServer, person: Person, user_name: str, address: str, siblings: set[Channel]) -> None:
        super().__init__(person, user_name, address, siblings)
        self._hooks = hooks
        self._git_run: GitRun | None = None
        self._push: PushInFlight | None = None

    def subsystem_requested(self, subsystem: str) -> bool:
        self._command = ""
        return True

    def client_gone(self) -> None:
        if self._push is not None:
            self._push.gone.set()
        super().client_gone()

    def is_idle(self, now: float) -> bool:
        return self._git_run is not None and self._git_run.is_idle(now)

    async def serve(self) -> int:
        asked = parse(self._command) if self._command else None
        if asked is None:
            self.say(self._refusal())
        elif not fits_user(self._user_name, asked.project_id) or not await ask(
            people.readable, self._person.user_id, asked.project_id
        ):
            self.say(_NOT_FOUND)
        else:
            return await self._git(asked)
        return 1

    def _refusal(self) -> str:
        if self._command is None:
            return f"Hello {self._person.name}, you are signed in. There is no shell here: this name is for git."
        return "Only git clone, fetch and push of a project's repository are possible here."

    async def _git(self, asked: GitCommand) -> int:
        repository = settings.HOME.repository(asked.project_id)
        if not repository.exists():
            self.say("The project's repository is still being made. Try again in a moment.")
            return 1
        if asked.service is Service.RECEIVE and shutil.disk_usage(repository).free < _MIN_FREE:
            self.say("There is no space left on the server, so nothing can be pushed. Nothing was changed.")
            return 1
        self.project_id = asked.project_id
        if asked.service is Service.UPLOAD:
            return await self._run_git(asked, None)
        no_wait = self.environment("PLATFORMSH_PUSH_NO_WAIT") in (b"1", b"true")
        push = PushInFlight(self._person, asked.project_id, self._address, no_wait)
        async with self._hooks.push(push):
            self._push = push
            return await self._run_git(asked, push)

    async def _run_git(self, asked: GitCommand, push: PushInFlight | None) -> int:
        if self._channel is None:  # gone meanwhile
            return 1
        run = self._git_run = GitRun(asked.service, settings.HOME.repository(asked.project_id), self.client, push)
        self.take(run)
        started = time.monotonic()
        try:
            code = await run.serve(git_protocol(self.environment("GIT_PROTOCOL")))
        finally:
            run.close()
        took = time.monotonic() - started
        logger.info("%s %s by %s: %s in %.1f s", asked.service, asked.project_id, self._person.name, code, took)
        return code if code >= 0 else 128
