"""supervisord, asked over its Unix socket: adds, watches and removes the program groups of environments."""

import configparser
import contextlib
import fcntl
import http.client
import os
import re
import shlex
import signal
import socket
import time
import xmlrpc.client
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environments.runtimes.base import RuntimeFailure
from portal.paths import Home

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_POLL = 0.02
_ASK_AGAIN = 0.5  # seconds
_BAD_NAME, _ALREADY_ADDED, _STILL_RUNNING, _CANNOT_REREAD = 10, 90, 91, 92
_ALIVE = ("STARTING", "RUNNING")
_ENDED = ("STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN")
_LOG_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Program:
    """One program of a group. `name` is ours; nothing a user wrote may stand in supervisord's files."""

    name: str
    command: Sequence[str]
    log: Path
    errors: Path | None = None  # where stderr goes, when not to `log`
    stop_signal: str = "TERM"
    stop_wait: int = 15  # seconds until SIGKILL
    priority: int = 500


@dataclass(frozen=True)
class Status:
    name: str
    state: str
    pid: int
    started: int
    stopped: int
    exit_code: int

    @property
    def alive(self) -> bool:
        return self.state in _ALIVE


class Supervisor:
    def __init__(self, home: Home) -> None:
        self._home = home

    def add(self, group: str, programs: Sequence[Program]) -> bool:
        """Start the group; True when it was not there before. One that is there is left as it is."""
        with self._lock():
            path = self._path(group)
            text = _ini(group, programs)
            path.parent.mkdir(parents=True, exist_ok=True)
            for program in programs:
                program.log.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(path)
            self._reread()
            try:
                self._call("addProcessGroup", group)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != _ALREADY_ADDED:
                    raise self._failure(f"it would not add {group}: {fault.faultString}") from fault
                return False
        return True

    def start(self, group: str) -> None:
        """Start whatever of the group is not running."""
        with contextlib.suppress(xmlrpc.client.Fault):
            self._call("startProcessGroup", group, False)

    def signal(self, group: str, names: Sequence[str]) -> None:
        """Ask these programs to end, by their own stop signal; supervisord kills those that take too long."""
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):
                self._call("stopProcess", f"{group}:{name}", False)

    def wait_ended(self, group: str, names: Sequence[str], seconds: float) -> bool:
        """Wait until these programs, which were asked to end, have ended. False when they take longer."""
        signals, began = self._signals(group), time.monotonic()
        asked = began
        while any(status.state not in _ENDED for status in self.statuses(group, names)):
            now = time.monotonic()
            if now - began > seconds:
                return False
            if now - asked > _ASK_AGAIN:
                self._ask_again(group, {name: signals[name] for name in names if name in signals})
                asked = now
            time.sleep(_POLL)
        return True

    def remove(self, group: str, *, patience: float = 60) -> None:
        """Stop the group, wait for its end and forget it. After `patience` (seconds) its programs are killed.

        Its file goes last: whoever is killed in between is found again by it, see `groups`.
        """
        self._end(group, patience)
        with self._lock():
            self._path(group).unlink(missing_ok=True)

    def _end(self, group: str, patience: float) -> None:
        signals = self._signals(group)
        with contextlib.suppress(xmlrpc.client.Fault):
            self._call("stopProcessGroup", group, False)
        began = asked = time.monotonic()
        while (now := time.monotonic()) - began < patience + 10:
            if now - began > patience:
                with contextlib.suppress(xmlrpc.client.Fault):
                    self._call("signalProcessGroup", group, "KILL")
            elif now - asked > _ASK_AGAIN:
                self._ask_again(group, signals)
                asked = now
            try:
                self._call("removeProcessGroup", group)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode == _BAD_NAME:
                    return
                if fault.faultCode != _STILL_RUNNING:
                    raise self._failure(f"it would not remove {group}: {fault.faultString}") from fault
                time.sleep(_POLL)
            else:
                return
        raise self._failure(f"the programs of {group} do not end")

    def _ask_again(self, group: str, signals: Mapping[str, str]) -> None:
        """A program that was asked while its sandbox was still being made has not heard it."""
        for status in self.statuses(group, list(signals)):
            if status.state == "STOPPING" and status.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(status.pid, signal.Signals[f"SIG{signals[status.name]}"])

    def _signals(self, group: str) -> dict[str, str]:
        """The stop signal of each program in the group's file."""
        parser = self._read(group)
        return {name: parser.get(f"program:{name}", "stopsignal", fallback="TERM") for name in self.programs(group)}

    def statuses(self, group: str, names: Sequence[str]) -> list[Status]:
        found = []
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):
                info = self._call("getProcessInfo", f"{group}:{name}")
                found.append(
                    Status(name, info["statename"], info["pid"], info["start"], info["stop"], info["exitstatus"])
                )
        return found

    def everything(self) -> list[dict[str, Any]]:
        """What supervisord says of every program that it keeps, also of the portal's own."""
        return list(self._call("getAllProcessInfo"))

    def programs(self, group: str) -> list[str]:
        """Names of the programs in the group's file, in its order."""
        return self._read(group).get(f"group:{group}", "programs", fallback="").replace(",", " ").split()

    def _read(self, group: str) -> configparser.RawConfigParser:
        parser = configparser.RawConfigParser(strict=False)
        with contextlib.suppress(configparser.Error, OSError):
            parser.read(self._path(group))
        return parser

    def groups(self, prefix: str) -> list[str]:
        """Groups with a file whose name begins so."""
        return sorted(path.stem for path in self._home.supervisor_programs.glob(f"{prefix}*.ini"))

    def _reread(self) -> None:
        try:
            self._call("reloadConfig")
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _CANNOT_REREAD:
                raise self._failure(f"it cannot read its files: {fault.faultString}") from fault
            self._mend()
            try:
                self._call("reloadConfig")
            except xmlrpc.client.Fault as again:
                raise self._failure(f"it cannot read its files: {again.faultString}") from again

    def _mend(self) -> None:
        """One file that names a folder which is gone would keep supervisord from reading any: make the folders."""
        for path in self._home.supervisor_programs.glob("*.ini"):
            parser = configparser.RawConfigParser(strict=False)
            with contextlib.suppress(configparser.Error, OSError):
                parser.read(path)
            for section in parser.sections():
                for option in ("stdout_logfile", "stderr_logfile"):
                    log = parser.get(section, option, fallback="")
                    if log.startswith("/"):
                        Path(log.replace("%%", "%")).parent.mkdir(parents=True, exist_ok=True)

    def _path(self, group: str) -> Path:
        if not _NAME.match(group):
            raise ValueError(f"{group!r} is not the name of a program group")
        return self._home.supervisor_programs / f"{group}.ini"

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Several workers add and remove at once; supervisord reads all files for each."""
        self._home.supervisor_programs.mkdir(parents=True, exist_ok=True)
        with (self._home.supervisor_programs / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            with xmlrpc.client.ServerProxy(
                "http://supervisor/RPC2", transport=_UnixTransport(str(self._home.supervisor_socket)), allow_none=True
            ) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise self._failure(f"it does not answer ({error})") from error

    @staticmethod
    def _failure(reason: str) -> RuntimeFailure:
        return RuntimeFailure(
            "runtime-supervisor", f"supervisord, which keeps all programs running, failed: {reason}", by_user=False
        )


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return UnixConnection(self._path, timeout=30)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, *, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def _ini(group: str, programs: Sequence[Program]) -> str:
    names = [program.name for program in programs]
    if not all(_NAME.match(name) for name in names):
        raise ValueError(f"{names} are not names of programs")
    return "\n".join([f"[group:{group}]", f"programs={','.join(names)}", "", *map(_section, programs)])


def _section(program: Program) -> str:
    errors = (
        f"stderr_logfile={_escape(program.errors)}\nstderr_logfile_maxbytes={_LOG_BYTES}\nstderr_logfile_backups=1\n"
        if program.errors
        else "redirect_stderr=true\n"
    )
    return (
        f"[program:{program.name}]\n"
        f"command={_escape(shlex.join(program.command))}\n"
        "autostart=true\nautorestart=true\nstartsecs=1\nstartretries=100000\n"
        f"priority={program.priority}\n"
        f"stopsignal={program.stop_signal}\nstopwaitsecs={program.stop_wait}\n"
        "stopasgroup=true\nkillasgroup=true\n"
        f"stdout_logfile={_escape(program.log)}\nstdout_logfile_maxbytes={_LOG_BYTES}\nstdout_logfile_backups=1\n"
        f"{errors}"
    )


def _escape(value: object) -> str:
    """supervisord expands %(...)s everywhere and takes ` ;` for a comment."""
    text = str(value)
    if re.search(r"[\n\r]|\s;", text):
        raise ValueError(f"{text!r} cannot be written into supervisord's files")
    return text.replace("%", "%%")
