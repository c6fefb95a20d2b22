"""Runs the crons of one app of a release. Stands alone: run as `python3 -IS cron.py DESCRIPTION`, outside any sandbox.

It begins once its release is live and the scheduler of the release before it has ended, which a lock tells. Each run is
a sandbox of its own that ends with us, so that no run can hide or end another; what became of it is written down beside
its output, by us. Nothing else writes there. Who wants a run begun or ended, or wants to know what runs, asks at our
socket: one line of JSON, answered by one.
"""

import contextlib
import fcntl
import importlib.util
import json
import os
import re
import secrets
import selectors
import signal
import socket
import sys
import time
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from environments.manifest.schedule import Schedule

_MADE_UP_FOR = 300  # seconds of a sleeping machine that are made up for
_AT_ONCE = 10  # runs of different crons; the others wait
_HEAD, _TAIL = 192 * 1024, 64 * 1024  # bytes of output that are kept, of its beginning and of its end
_LINE = 8192  # bytes after which a line goes to the log without its end
_LAST_WORDS = 10.0  # seconds that runs have when we are asked to end: we are killed after 15
_ANSWER = 1.0  # seconds for a question to come in
_ID = re.compile(r"[a-z0-9]{6,40}\Z")
_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "KILL", "--")


@dataclass
class Cron:
    name: str
    label: str  # of the control group of its runs
    start: str
    stop: str | None
    timeout: float
    shutdown_timeout: float
    schedule: "Schedule"


@dataclass
class Asked:
    """A run that waits for its turn."""

    id: str
    trigger: str = "schedule"
    by: str = ""


@dataclass
class Run:
    cron: Cron
    record: dict[str, Any]
    pid: int
    ended: int  # pidfd
    input: int  # what is written here is asked of the first program in the sandbox
    output: int
    began: float
    kept: "Output"
    deadline: float  # monotonic: of its timeout, and later of its patience
    outcome: str = ""  # why it was asked to end
    killed: bool = False


@dataclass
class Output:
    """The beginning of what a run printed goes into its file at once, the end of it when it has ended."""

    path: str
    written: int = 0
    left_out: int = 0
    tail: bytearray = field(default_factory=bytearray)
    line: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes) -> None:
        head = data[: max(0, _HEAD - self.written)]
        if head:
            self._append(head)
            self.written += len(head)
        self.tail += data[len(head) :]
        if len(self.tail) > _TAIL:
            self.left_out += len(self.tail) - _TAIL
            del self.tail[:-_TAIL]

    def close(self) -> None:
        note = f"\n[{self.left_out} bytes are left out here]\n".encode() if self.left_out else b""
        if self.tail:
            self._append(note + bytes(self.tail))

    def lines(self, data: bytes) -> list[bytes]:
        """The whole lines that are there by now."""
        self.line += data
        *whole, rest = bytes(self.line).split(b"\n")
        if len(rest) > _LINE:
            whole.append(rest)
            rest = b""
        self.line[:] = rest
        return whole

    def _append(self, data: bytes) -> None:
        with contextlib.suppress(OSError), open(self.path, "ab") as file:  # a full disk costs the output, not the run
            file.write(data)


class Scheduler:
    def __init__(self, given: dict[str, Any], clock: Callable[[], float] = time.time) -> None:
        self._given = given
        self._clock = clock
        self._zone = _zone(given["timezone"])
        parse = _load(given["schedule"]).parse
        self._crons = {
            entry["name"]: Cron(
                **{key: entry[key] for key in ("name", "label", "start", "stop", "timeout", "shutdown_timeout")},
                schedule=parse(entry["spec"]),
            )
            for entry in given["crons"]
        }
        self._folder = given["folder"]
        self._waiting: dict[str, Asked] = {}  # by cron
        self._runs: dict[str, Run] = {}  # by cron
        self._ending = False
        self._selector = selectors.DefaultSelector()
        self._minute = self._this_minute()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self._wait_for_our_time()
        self._bury()
        self._hear_signals()
        self._listen()
        self._minute = self._this_minute()
        while True:
            self.collect()
            self._begin()
            self._look_after()
            if self._ending and not self._runs:
                return
            for key, _ in self._selector.select(self._pause()):
                key.data()

    def _wait_for_our_time(self) -> None:
        """Until the release is the one that serves, and nobody else runs this app's crons."""
        while self._given["after"] and not os.path.exists(self._given["after"]):
            time.sleep(0.1)
        lock = os.open(self._given["lock"], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
            else:
                break
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)

    def _bury(self) -> None:
        """Runs of our app without an end: whoever watched them was killed, and they with it."""
        for name in sorted(os.listdir(self._folder)):
            record = self._read(name) if name.endswith(".json") else None
            if record and record["app"] == self._given["app"] and record["ended"] is None:
                self._write(record | {"ended": self._clock(), "outcome": "lost"})
                self._say(record["cron"], "was lost: what watched it was killed")

    def _hear_signals(self) -> None:
        near, far = socket.socketpair()
        for end in (near, far):
            end.setblocking(False)
        signal.signal(signal.SIGTERM, self._end)
        signal.set_wakeup_fd(far.fileno())
        self._far = far
        self._selector.register(near, selectors.EVENT_READ, lambda: near.recv(64))

    def _end(self, *_: object) -> None:
        self._ending = True

    def _pause(self) -> float:
        """Seconds until there is something to do, if nothing happens."""
        until = [self._minute + 60 - self._clock() + 0.01]
        until += [run.deadline - time.monotonic() for run in self._runs.values()]
        return max(0.0, min([*until, 1.0 if self._waiting else 30.0]))

    def _this_minute(self) -> int:
        return int(self._clock()) // 60 * 60

    # -- what is due ------------------------------------------------------------------------------------------------

    def collect(self) -> None:
        """Put down what became due since the last look. A cron that waits or runs is not put down twice."""
        now = self._this_minute()
        if now < self._minute - _MADE_UP_FOR:
            self._minute = now  # the clock was put back: waiting until it is where it was would be worse
        while self._minute < now:
            self._minute = max(self._minute + 60, now - _MADE_UP_FOR)
            due = [cron for cron in self._crons.values() if cron.schedule.due(self._minute, self._zone)]
            for cron in due if due and not self._ending and not os.path.exists(self._given["off"]) else ():
                if cron.name in self._runs:
                    self._say(cron.name, "is left out: its last run has not ended")
                elif cron.name not in self._waiting:
                    self._waiting[cron.name] = Asked(f"{int(self._clock()):08x}{secrets.token_hex(5)}")

    def _begin(self) -> None:
        if not self._waiting or self._ending or self._quiet():
            return
        for name in list(self._waiting):
            if len(self._runs) >= _AT_ONCE:
                return
            if name not in self._runs:
                self._start(self._crons[name], self._waiting.pop(name))

    def _quiet(self) -> bool:
        try:
            with open(self._given["quiet"], encoding="utf-8") as file:
                until = json.load(file)["until"]
            return bool(self._clock() < until)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    # -- a run ------------------------------------------------------------------------------------------------------

    def _start(self, cron: Cron, asked: Asked) -> None:
        record = {
            "id": asked.id,
            "app": self._given["app"],
            "cron": cron.name,
            "release": self._given["release"],
            "trigger": asked.trigger,
            "by": asked.by,
            "started": self._clock(),
            "ended": None,
            "outcome": "running",
            "code": None,
            "note": "",
        }
        self._write(record)
        try:
            run = self._spawn(cron, record)
        except OSError as error:
            self._write(record | {"ended": self._clock(), "outcome": "failed", "note": f"It could not begin: {error}"})
            self._say(cron.name, f"could not begin: {error}")
            return
        self._runs[cron.name] = run
        self._selector.register(run.ended, selectors.EVENT_READ, lambda: None)
        self._selector.register(run.output, selectors.EVENT_READ, lambda: self._hear(run))
        self._say(cron.name, f"started by {asked.by}" if asked.by else "started")

    def _spawn(self, cron: Cron, record: dict[str, Any]) -> Run:
        with open(self._given["box"], encoding="utf-8") as file:
            box = json.load(file)
        box["label"] = cron.label
        box["files"] |= {"/run/slipway/script": cron.start, "/run/slipway/stop": cron.stop or "true\n"}
        description = os.memfd_create("cron")
        heard, asking = os.pipe()
        output, said = os.pipe()
        try:
            with os.fdopen(os.dup(description), "w", encoding="utf-8", errors="surrogateescape") as file:
                json.dump(box, file)
            os.lseek(description, 0, os.SEEK_SET)
            # Descriptors of ours are closed there but these: its input, its output, and what it is to do, as number 3.
            actions = [
                (os.POSIX_SPAWN_DUP2, source, target) for source, target in ((heard, 0), (said, 1), (said, 2))
            ] + [(os.POSIX_SPAWN_DUP2, description, 3)]
            argv = [*_WITH_US, *self._given["launch"], "/proc/self/fd/3"]
            pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions, setsid=True)
        except OSError:
            os.close(asking)
            os.close(output)
            raise
        finally:
            for descriptor in (description, heard, said):
                os.close(descriptor)
        os.set_blocking(output, False)
        now = time.monotonic()
        kept = Output(os.path.join(self._folder, f"{record['id']}.out"))
        return Run(cron, record, pid, os.pidfd_open(pid), asking, output, now, kept, now + cron.timeout)

    def _hear(self, run: Run) -> None:
        while True:
            try:
                data = os.read(run.output, 65536)
            except BlockingIOError:
                return
            if not data:
                self._selector.unregister(run.output)
                os.close(run.output)
                run.output = -1
                return
            run.kept.add(data)
            for line in run.kept.lines(data):
                self._log(run.cron.name.encode() + b" | " + line)

    def _look_after(self) -> None:
        now = time.monotonic()
        for run in list(self._runs.values()):
            pid, status = os.waitpid(run.pid, os.WNOHANG)
            if pid:
                self._ended(run, os.waitstatus_to_exitcode(status))
            elif self._ending and not run.outcome:
                self._ask(run, "stopped", "Its release was stopped", within=_LAST_WORDS)
            elif now >= run.deadline and not run.outcome:
                self._ask(run, "timeout", f"It ran longer than {run.cron.timeout:g} s")
            elif now >= run.deadline and not run.killed:
                run.killed, run.deadline = True, now + 60
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)  # and the kernel ends all that is in the sandbox

    def _ask(self, run: Run, outcome: str, note: str, within: float = float("inf")) -> None:
        run.outcome, run.record["note"] = outcome, note
        run.deadline = time.monotonic() + min(run.cron.shutdown_timeout, within)
        with contextlib.suppress(OSError):
            os.write(run.input, b"s" if run.cron.stop else b"t")
        self._say(run.cron.name, f"is being stopped. {note}")

    def _ended(self, run: Run, code: int) -> None:
        if run.output >= 0:
            self._hear(run)
        if run.output >= 0:
            self._selector.unregister(run.output)
            os.close(run.output)
        if run.kept.line:
            self._log(run.cron.name.encode() + b" | " + bytes(run.kept.line))
        run.kept.close()
        self._selector.unregister(run.ended)
        os.close(run.ended)
        os.close(run.input)
        del self._runs[run.cron.name]
        code = code if code >= 0 else 128 - code
        memory = _leave_group(run.cron.label)
        outcome = run.outcome or ("succeeded" if code == 0 else "memory" if memory else "failed")
        self._write(run.record | {"ended": self._clock(), "outcome": outcome, "code": code})
        how = f"ended with exit code {code}" if code <= 128 else f"was killed by signal {code - 128}"
        self._say(run.cron.name, f"{how} after {time.monotonic() - run.began:.1f} s")

    # -- who asks ---------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        path = self._given["socket"]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen(16)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._answer(listener))

    def _answer(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(_ANSWER)
                with connection.makefile("rb") as file:
                    question = json.loads(file.readline(65536))
                answer = {"status": self._status, "run": self._run, "stop": self._stop}[question["verb"]](question)
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        running = [
            {key: run.record[key] for key in ("id", "cron", "started")}
            | {"shutdown_timeout": run.cron.shutdown_timeout}
            for run in self._runs.values()
        ]
        return {"app": self._given["app"], "running": running, "waiting": list(self._waiting)}

    def _run(self, question: dict[str, Any]) -> dict[str, Any]:
        name, id = question["cron"], question["id"]
        if name not in self._crons or not _ID.match(id):
            return {"refused": "cron-unknown"}
        if os.path.exists(os.path.join(self._folder, f"{id}.json")):
            return {}  # asked again by somebody who did not hear our answer
        running = self._runs.get(name)
        if running is not None:
            return {"refused": "cron-busy", "since": running.record["started"]}
        waiting = self._waiting.get(name)
        if waiting is None or waiting.trigger == "schedule":
            self._waiting[name] = Asked(id, "person", question["by"])
        elif waiting.id != id:
            return {"refused": "cron-busy", "since": self._clock()}
        return {}

    def _stop(self, question: dict[str, Any]) -> dict[str, Any]:
        """One run, or all when no id is given."""
        for name, asked in list(self._waiting.items()):
            if asked.id == question.get("id"):
                del self._waiting[name]
        for run in self._runs.values():
            if question.get("id") in (None, run.record["id"]) and not run.outcome:
                self._ask(run, "stopped", question["why"], within=question.get("within", float("inf")))
        return {}

    # -- what is written down ---------------------------------------------------------------------------------------

    def _write(self, record: dict[str, Any]) -> None:
        path = os.path.join(self._folder, f"{record['id']}.json")
        with contextlib.suppress(OSError):
            descriptor = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(record, file)
            os.replace(f"{path}.new", path)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            with open(os.path.join(self._folder, name), encoding="utf-8") as file:
                record = json.load(file)
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) else None

    def _say(self, cron: str, what: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._log(f"{now} cron {cron} {what}".encode())

    @staticmethod
    def _log(line: bytes) -> None:
        with contextlib.suppress(OSError):
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


def _leave_group(label: str) -> bool:
    """Remove the run's control group; whether the kernel killed something in it for lack of memory."""
    killed = False
    for name in ("MEMORY", "PIDS"):
        top = os.environ.get(f"SLIPWAY_CGROUP_{name}", "")
        folder = os.path.join(top, label)
        if not top or not os.path.isdir(folder):
            continue
        for events in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError), open(os.path.join(folder, events)) as file:
                killed = killed or any(re.match(r"oom_kill [1-9]", line) for line in file)
        for _ in range(30):
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(0.01)
            else:
                break
    return killed


def _zone(name: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return UTC


def _load(path: str) -> Any:
    """The schedule's rules, which the portal shows by too."""
    spec = importlib.util.spec_from_file_location("schedule", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["schedule"] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def main(path: str) -> None:
    with open(path, encoding="utf-8") as file:
        given = json.load(file)
    Scheduler(given).run()


if __name__ == "__main__":
    main(sys.argv[1])
