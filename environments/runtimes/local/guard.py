"""Holds an environment's programs still while its data is copied. Stands alone: `python3 -IS guard.py FOLDER LIMIT`.

It is asked in lines, each with one line for an answer:

    hold [NAMES]     stop whatever can write to the data, but for the services named (JSON); "held COUNT" once all stand
    check            "still", or "moved" when something ran meanwhile that can write to the data
    (end of input)   everything goes on; the answer is "released SECONDS"

Whoever started it may die at any moment: the end of its input is all it needs. After LIMIT seconds it lets go by
itself, and answers "expired" from then on. While it holds it keeps a lock on FOLDER/held, by which it is missed when it
is killed itself, see `release`.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import signal
import sys
import time

_PATIENCE = 30.0  # seconds for a program to come to a stand: one that waits for the disk stops when the disk answers
_STANDING = "TtZXx"
_OCTAL = re.compile(r"\\([0-7]{3})")

Process = tuple[int, int]  # pid and the time it was started, which no other process with that pid has


class Area:
    """The services and mounts of an environment, as the kernel names them in the mounts of sandboxes."""

    def __init__(self, folder: str) -> None:
        folder = os.path.realpath(folder)
        point, self._device, root = max(
            (each for each in _mounts("self") if _within(folder, each[0])), key=lambda each: len(each[0])
        )[:3]
        below = os.path.relpath(folder, point)
        self._top = os.path.normpath(os.path.join(root, below))
        self._folder = folder

    def writes(self, pid: str, leave: set[str]) -> bool:
        """Whether the process can write to any of it but to the services in `leave`, or is about to become one."""
        for _, device, root, options in _mounts(pid):
            if device != self._device or "rw" not in options.split(",") or not _within(root, self._top):
                continue
            part = os.path.relpath(root, self._top).split("/")
            if part[0] == "mounts" or (part[0] == "services" and len(part) > 1 and part[1] not in leave):
                return True
        return self._starting(pid, leave)

    def _starting(self, pid: str, leave: set[str]) -> bool:
        """launch.py before it became the sandbox: the description that it reads lies in the environment's folder."""
        words = _read(f"/proc/{pid}/cmdline").split(b"\0")
        if len(words) < 4 or not words[2].endswith(b"/launch.py"):
            return False
        path = os.fsdecode(words[3])
        if not _within(path, self._folder):
            return False
        part = os.path.relpath(path, self._folder).split("/")
        return not (part[0] == "services" and part[-1].removesuffix(".json") in leave)


class Guard:
    def __init__(self, folder: str) -> None:
        self._area = Area(folder)
        self._stopped: dict[Process, None] = {}  # by us, in this order: parents before their children
        self._seen: set[Process] = set()
        self.began: float | None = None

    def hold(self, leave: set[str]) -> int:
        """Raises TimeoutError when something does not come to a stand."""
        if self.began is None:
            self.began = time.monotonic()
        deadline, calm = time.monotonic() + _PATIENCE, 0
        while calm < 2:  # a program that was being started when we looked first is there when we look again
            found = self._find(leave)
            fresh = [each for each in found if each not in self._seen]
            for process in sorted(fresh, key=lambda each: each[1]):
                self._stop(process)
            calm = calm + 1 if not fresh and all(map(_stands, found)) else 0
            if time.monotonic() > deadline:
                raise TimeoutError(f"{sum(not _stands(each) for each in found)} programs do not come to a stand")
            if calm < 2:
                time.sleep(0.002)
        return len(found)

    def moved(self) -> bool:
        found = self._find(set())
        return any(each not in self._seen or not _stands(each) for each in found)

    def release(self) -> None:
        """Children before their parents: a shell that is told of a stopped child would take its terminal back."""
        for process in reversed(self._stopped):
            go_on(process)
        self._stopped.clear()
        self._seen.clear()

    def _stop(self, process: Process) -> None:
        self._seen.add(process)
        if not _stands(process):  # what somebody stopped before us is not ours to let go
            self._stopped[process] = None
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process[0], signal.SIGSTOP)

    def _find(self, leave: set[str]) -> list[Process]:
        return [each for each in own() if self._area.writes(str(each[0]), leave)]


def own() -> list[Process]:
    """Every process of our user but ourselves."""
    found, us, user = [], os.getpid(), os.geteuid()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != us:
            with contextlib.suppress(OSError, IndexError, ValueError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    found.append((int(name), _started(name)))
    return found


def release(folder: str, *, look: bool = False) -> bool:
    """Let go on what a guard that was killed left standing; False when none was, or one is at work."""
    mark = os.path.join(folder, "held")
    try:
        file = open(mark, "rb")  # noqa: SIM115 - closed below, with its lock
    except OSError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        if look:
            return True
        area = Area(folder)
        for process in sorted(own(), key=lambda each: -each[1]):
            if area.writes(str(process[0]), set()) and _stands(process):
                go_on(process)
        with contextlib.suppress(OSError):
            os.unlink(mark)
    return True


def go_on(process: Process) -> None:
    with contextlib.suppress(OSError, IndexError, ValueError):
        if _started(str(process[0])) == process[1]:
            os.kill(process[0], signal.SIGCONT)


def _stands(process: Process) -> bool:
    """Whether each of its threads stands, or it is gone."""
    pid = process[0]
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return True
    return all((_stat(f"/proc/{pid}/task/{thread}/stat") or ["X"])[0] in _STANDING for thread in threads)


def _started(pid: str) -> int:
    return int(_stat(f"/proc/{pid}/stat")[19])


def _stat(path: str) -> list[str]:
    """The fields behind the program's name, see proc(5)."""
    return _read(path).decode("ascii", "replace").rpartition(")")[2].split()


def _mounts(pid: str) -> list[tuple[str, str, str, str]]:
    """(mount point, device, root, options) of each mount that the process sees, see proc(5)."""
    found = []
    for line in _read(f"/proc/{pid}/mountinfo").decode("utf-8", "surrogateescape").splitlines():
        fields = line.split(" ")
        found.append((_plain(fields[4]), fields[2], _plain(fields[3]), fields[5]))
    return found


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def _within(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class _Asked(Exception):
    """Somebody asked us to end."""


def main(folder: str, limit: float) -> None:
    def end(*_: object) -> None:
        raise _Asked

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    guard = Guard(folder)
    mark = os.path.join(folder, "held")
    with open(mark, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            _serve(guard, limit)
        except _Asked:
            pass
        finally:
            guard.release()
            with contextlib.suppress(OSError):
                os.unlink(mark)
            held = time.monotonic() - guard.began if guard.began is not None else 0.0
            with contextlib.suppress(OSError):
                _say(f"released {held:.4f}")


def _serve(guard: Guard, limit: float) -> None:
    pending = b""
    while True:
        left = None if guard.began is None else guard.began + limit - time.monotonic()
        if left is not None and left <= 0:
            guard.release()
            guard.began = None
            limit = float("inf")
            _say("expired")
            return
        if not select.select([0], [], [], left)[0]:
            continue
        data = os.read(0, 65536)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            try:
                _say(f"held {guard.hold(set(json.loads(rest)))}" if word == "hold" else _checked(guard))
            except TimeoutError as error:
                _say(f"failed {error}")
                return


def _checked(guard: Guard) -> str:
    return "moved" if guard.moved() else "still"


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
