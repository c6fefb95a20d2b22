"""Who runs Slipway. Started by root, everything below SLIPWAY_HOME is done and run by the system user `slipway`."""

import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from launcher.errors import Refused

SYSTEM_USER = "slipway"


@dataclass(frozen=True)
class RunUser:
    name: str
    uid: int
    gid: int
    drop: bool
    """The launcher is root and what it starts must not be."""

    def become(self) -> None:
        """Give up root for the rest of this process."""
        if not self.drop:
            return
        os.setgroups([])
        os.setresgid(self.gid, self.gid, self.gid)
        os.setresuid(self.uid, self.uid, self.uid)

    def can(self, flag: str, path: Path) -> bool:
        """Ask test(1) as this user; flag is -r, -w or -x. Every parent's permissions count."""
        test = shutil.which("test") or "/usr/bin/test"
        who: dict[str, Any] = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.drop else {}
        return subprocess.run([test, flag, str(path)], cwd="/", check=False, **who).returncode == 0

    def call(self, work: Callable[..., Any], *args: Any, before: Callable[[], None] | None = None) -> Any:
        """Do the work as this user and return its result, which must be something JSON can hold.

        Root does it in a child that gives up its rights first, so that no file in a folder of that user is ever
        opened with root's. `before` runs in the child while it still has them."""
        if not self.drop:
            return work(*args)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _answer_and_exit(self, work, args, before, writer)
        os.close(writer)
        return _result_of(pid, reader)


def run_user() -> RunUser:
    """The user that everything runs as; creates the system user when root has none yet."""
    if os.geteuid() != 0:
        return _current()
    try:
        found = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        _create_system_user()
        found = pwd.getpwnam(SYSTEM_USER)
    if found.pw_uid == 0:
        raise Refused(f"the user {SYSTEM_USER} has uid 0; Slipway runs nothing as root")
    return RunUser(SYSTEM_USER, found.pw_uid, found.pw_gid, drop=True)


def existing_run_user() -> RunUser:
    """Like run_user, for commands that change nothing: without the system user nothing was started yet."""
    if os.geteuid() != 0:
        return _current()
    try:
        found = pwd.getpwnam(SYSTEM_USER)
    except KeyError as error:
        raise Refused("nothing has been started on this machine yet; begin with ./slipway up") from error
    return RunUser(SYSTEM_USER, found.pw_uid, found.pw_gid, drop=True)


def name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _current() -> RunUser:
    return RunUser(name_of(os.geteuid()), os.geteuid(), os.getegid(), drop=False)


def _create_system_user() -> None:
    try:
        grp.getgrnam(SYSTEM_USER)
        group = ["--gid", SYSTEM_USER]
    except KeyError:
        group = ["--user-group"]
    command = ["useradd", "--system", *group, "--home-dir", "/nonexistent", "--no-create-home"]
    result = _run([*command, "--shell", "/usr/sbin/nologin", SYSTEM_USER])
    if result.returncode != 0:
        raise Refused(f"the system user {SYSTEM_USER} cannot be created: {result.stderr.strip()}")


def _run(command: Sequence[str], env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    except FileNotFoundError as error:
        raise Refused(f"{command[0]} is not installed") from error


def _answer_and_exit(
    user: RunUser,
    work: Callable[..., Any],
    args: tuple[Any, ...],
    before: Callable[[], None] | None,
    writer: int,
) -> NoReturn:
    answer: dict[str, Any]
    try:
        if before is not None:
            before()
        os.chdir("/")
        user.become()
        answer = {"value": work(*args)}
    except Refused as refusal:
        answer = {"refused": str(refusal)}
    except KeyboardInterrupt:
        answer = {"interrupted": True}
    except OSError as error:
        answer = {"errno": error.errno, "strerror": error.strerror, "filename": str(error.filename or "")}
    except BaseException as error:  # the child must never return into the parent's code
        answer = {"refused": f"unexpected {type(error).__name__}: {error}"}
    with os.fdopen(writer, "w") as pipe:
        json.dump(answer, pipe)
    os._exit(0)


def _result_of(pid: int, reader: int) -> Any:
    try:
        with os.fdopen(reader) as pipe:
            text = pipe.read()
    except KeyboardInterrupt:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        raise
    os.waitpid(pid, 0)
    if not text:
        raise Refused("a part of the launcher was killed; run the command again")
    answer = json.loads(text)
    if "value" in answer:
        return answer["value"]
    if "refused" in answer:
        raise Refused(answer["refused"])
    if "errno" in answer:
        raise OSError(answer["errno"], answer["strerror"], answer["filename"])
    raise KeyboardInterrupt
