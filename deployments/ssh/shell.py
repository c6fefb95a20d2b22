"""A channel into an environment: a shell, a command or SFTP, in a sandbox of its own beside the app."""

import logging
import re
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from deployments.actions import ssh_sessions
from deployments.actions.ssh_sessions import Way
from deployments.models import Health, SSHSession
from deployments.pipeline import disks, specs
from deployments.ssh import commands, people
from deployments.ssh.channel import Channel
from deployments.ssh.people import ask_to_enter
from deployments.ssh.run import WITH_US, Client, Run
from deployments.ssh.sftp import Watcher
from deployments.ssh.terminal import Size, Terminal
from environments import runtimes
from environments.runtimes.base import Entry, Inside, ReleaseSpec, RuntimeFailure
from portal.enums import EnvironmentType
from portal.errors import Conflict, Missing

IDLE = 2 * 3600.0  # seconds without a byte either way
_MB = 1024**2
_SIGNALS = {name: signal.Signals[f"SIG{name}"] for name in ("HUP", "INT", "QUIT", "TERM", "KILL", "USR1", "USR2")}
_COLOURS = {EnvironmentType.PRODUCTION: "1;35", EnvironmentType.STAGING: "1;36", EnvironmentType.INTEGRATION: "1;34"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    way: Way
    session: SSHSession
    inside: Inside
    spec: ReleaseSpec
    full: str = ""  # what is over its disk limit, as a line for the person


def not_found(person: str, user_name: str) -> str:
    """The same for what is not there and for what is not allowed; the vendor's client looks for these words."""
    why = "service doesn't exist or you do not have access to it"
    return (
        f"Hello {person}, you successfully authenticated, but could not connect to service {user_name} (reason: {why})"
    )


def enter(user_id: int, user_name: str, address: str, kind: SSHSession.Kind, entry: Entry) -> Opened:
    """Raises SlipwayError with what the person is to read."""
    way = people.way(user_id, user_name, address)
    spec = specs.release_spec(way.release)
    session = ssh_sessions.open_session(way, kind=kind, command=entry.command or "", address=address)
    try:
        inside = runtimes.get().enter(spec, way.program, replace(entry, prompt=_prompt(way)))
    except RuntimeFailure as error:
        ssh_sessions.end_session(session, reason=error.message)
        raise Conflict(error.message) from error
    except BaseException:
        ssh_sessions.end_session(session, reason="it could not be begun")
        raise
    return Opened(way, session, inside, spec, _full(way))


class Shell(Channel):
    def __init__(self, person: people.Person, user_name: str, address: str, siblings: set[Channel]) -> None:
        super().__init__(person, user_name, address, siblings)
        self._terminal: Terminal | None = None
        self._files = False
        self._reason = ""  # why we ended it
        self.session_id: int | None = None
        self.environment_id: int | None = None

    # What asyncssh calls

    def pty_requested(self, term_type: str, term_size: Size, term_modes: Mapping[int, int]) -> bool:
        self._terminal = Terminal(commands.terminal(term_type), term_size, term_modes)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._terminal is not None:
            self._terminal.resize((width, height, pixwidth, pixheight))

    def signal_received(self, signal: str) -> None:
        if self._run is not None and signal in _SIGNALS:
            self._run.signal(_SIGNALS[signal])

    def subsystem_requested(self, subsystem: str) -> bool:
        self._files = subsystem == "sftp"
        return self._files

    # What the connection asks

    def is_idle(self, now: float) -> bool:
        return self._run is not None and now - self._run.last_byte > IDLE

    def end(self, reason: str) -> None:
        """Say why, and end whatever runs."""
        if self._reason or self.task is None or self.task.done():
            return
        self._reason = reason
        self._say_beside(reason)
        if self._run is not None:
            self._run.kill()

    # What is done

    async def serve(self) -> int:
        terminal = self._terminal if not self._files else None
        program = Entry(
            command=self._command,
            files=self._files,
            terminal=terminal.name if terminal else "",
        )
        kind = SSHSession.Kind.FILES if self._files else SSHSession.Kind.SHELL
        kind = SSHSession.Kind.COMMAND if self._command is not None else kind
        person = self._person
        try:
            opened = await ask_to_enter(enter, person.user_id, self._user_name, self._address, kind, program)
        except Missing:
            self.say(not_found(person.name, self._user_name))
            return 1
        self.session_id, self.environment_id = opened.session.pk, opened.way.environment.pk
        began, code = time.monotonic(), -signal.SIGKILL
        run: Run | None = None
        try:
            if self._channel is None or self._reason:  # gone meanwhile
                return 1
            if terminal and self._command is None:
                self.write(_greeting(opened).replace("\n", "\r\n").encode("utf-8", "replace"))
            if opened.full:
                self._say_beside(opened.full)
            run = Run(self._client_of(opened), terminal)
            self.take(run)
            code = await run.run([*WITH_US, *opened.inside.argv])
            return code
        finally:
            if run is not None:
                run.close()
            left = await ask_to_enter(runtimes.get().leave, opened.inside)
            if left:
                self._say_beside(left)
            facts: dict[str, object] = {"received": run.received, "sent": run.sent} if run is not None else {}
            reason = self._reason or left
            facts |= {"exit": code, "seconds": round(time.monotonic() - began, 1)}
            await ask_to_enter(_end, opened.session, facts | ({"reason": reason} if reason else {}))

    def _client_of(self, opened: Opened) -> Client:
        if not self._files:
            return self.client
        app = next(each for each in opened.spec.programs if each.name == opened.way.program)
        watcher = Watcher(self.write, self.say, app.worker.mounts if app.worker else app.app.mounts)
        return Client(watcher.feed, self.write_error, self._pause_client, self._resume_client)

    def _say_beside(self, line: str) -> None:
        if self._terminal is not None and not self._files:
            self.write(f"\r\n{line}\r\n".encode("utf-8", "replace"))
        else:
            self.say(line)


def _end(session: SSHSession, facts: dict[str, object]) -> None:
    ssh_sessions.end_session(session, **facts)


def _full(way: Way) -> str:
    """Mounts are not closed at their limit, for whoever clears them up comes this way too; but nobody fills them
    without having been told."""
    health = Health.objects.filter(environment=way.environment).first()
    mounts = [each for each in health.full(disks.FULL) if each["kind"] == "mounts"] if health else []
    told = [f"{each['name']} ({each['bytes'] // _MB:,} of {each['limit'] // _MB:,} MB)" for each in mounts]
    return f"Slipway: over their disk limit: mounts of {', '.join(told)}. Remove what nobody needs." if told else ""


def _prompt(way: Way) -> str:
    """Tells environments apart at a glance. Names hold nothing that bash would take for more than a letter."""
    colour, name = _COLOURS[way.environment.environment_type], _UNSAFE.sub("-", way.environment.name)
    return rf"\[\e[{colour}m\]{_UNSAFE.sub('-', way.program)}@{name}\[\e[0m\]:\w\$ "


def _greeting(opened: Opened) -> str:
    way = opened.way
    program = next(each for each in opened.spec.programs if each.name == way.program)
    mounts = program.worker.mounts if program.worker else program.app.mounts
    kept = ", ".join(f"/app/{path}" for path in sorted(mounts)) or "none"
    where = f"{way.environment.project.title} / {way.environment.title}"
    return (
        f"\n  {where} ({way.environment.environment_type.label})\n"
        f"  {way.program}, release {way.release}, commit {way.release.commit[:8]}\n\n"
        f"  /app        the release, read-only\n"
        f"  mounts      {kept}\n"
        f"  /var/log    logs\n"
        f"  /tmp        yours until you leave\n\n"
    )
