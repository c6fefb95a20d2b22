"""Reads supervisord, /proc, access logs and what weigh.py wrote. Nothing here waits for a program of an environment
but `knock`, for as long as it is told."""

import http.client
import json
import os
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from environments import process
from environments.runtimes.base import Place, Probe
from environments.runtimes.gauges import Position, ProgramState, Requests, Usage, Weight
from environments.runtimes.local import sandbox
from environments.runtimes.local.layout import Layout
from environments.runtimes.local.supervisor import Supervisor, UnixConnection
from portal.paths import Home

_WEIGH = Path(__file__).with_name("weigh.py")
_GROUP = re.compile(r"e(?P<key>\d+)-(?:r(?P<release>\d+)|s-(?P<service>[a-z0-9-]+))\Z")
_MOST = 8 * 1024**2  # bytes of a log that are read at once; a busier minute is cut short
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ALIVE = ("STARTING", "RUNNING", "STOPPING")
_KINDS = {"app": "", "php": " (php)", "cron": " (crons)", "service": " (service)"}


class LocalGauges:
    def __init__(self, home: Home, supervisor: Supervisor) -> None:
        self._home = home
        self._supervisor = supervisor

    def usage(self, places: Iterable[Place]) -> Mapping[int, Usage]:
        known = {place.key: Layout(self._home, place) for place in places}
        infos: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for info in self._supervisor.everything():
            found = _GROUP.match(info["group"])
            if found is not None and int(found["key"]) in known:
                infos[int(found["key"])].append(info)
        used = _Processes()
        usages = {}
        for key, programs in infos.items():
            cpu, memory = used.below([info["pid"] for info in programs if info["pid"]])
            usages[key] = Usage(cpu, memory, [_state(known[key], info) for info in programs])
        return usages

    def requests(self, place: Place, since: Position | None) -> Requests:
        log = Layout(self._home, place).logs / "access.log"
        here = _end(log)
        if since is None or here is None:
            return Requests(here or Position())
        found: list[bytes] = []
        offset = since.offset
        if since.file != here.file:
            old = log.with_name("access.log.1")
            end = _end(old)
            if end is not None and end.file == since.file:
                found += _lines(old, since.offset)[0]
            offset = 0
        lines, offset = _lines(log, offset)
        return _count([*found, *lines], Position(here.file, offset))

    def knock(self, place: Place, number: int, host: str, path: str, *, timeout: float) -> Probe:
        connection = UnixConnection(str(Layout(self._home, place).probe(number)), timeout=timeout)
        began = time.monotonic()
        try:
            connection.request(
                "GET", path, headers={"Host": host, "User-Agent": "Slipway", "X-Forwarded-For": "127.0.0.1"}
            )
            status = connection.getresponse().status
        except TimeoutError:
            return Probe(False, None, timeout * 1000, f"It did not answer within {timeout:g} seconds.")
        except (OSError, http.client.HTTPException):
            return Probe(False, None, (time.monotonic() - began) * 1000, "It did not answer.")
        finally:
            connection.close()
        took = (time.monotonic() - began) * 1000
        return Probe(status < 500, status, took, "" if status < 500 else f"It answered {status}.")

    def weigh(self) -> None:
        top = self._home.environment("x", "y").parent.parent
        process.detach(["nice", "-n", "19", sandbox.interpreter(), "-IS", str(_WEIGH), str(top), str(self._weights)])

    def weights(self, places: Iterable[Place]) -> Mapping[int, Weight]:
        try:
            known = json.loads(self._weights.read_text())
        except (OSError, ValueError):
            return {}
        found = {}
        for place in places:
            entry = known.get(f"{place.project_id}/{place.machine_name}")
            if entry is not None:
                found[place.key] = Weight(entry["at"], entry["mounts"], entry["services"], entry["logs"])
        return found

    @property
    def _weights(self) -> Path:
        return self._home.run / "weights.json"


class _Processes:
    """All processes of this host, looked at once."""

    def __init__(self) -> None:
        self._own: dict[int, tuple[float, int]] = {}
        self._children: dict[int, list[int]] = defaultdict(list)
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                self._read(int(entry.name))

    def below(self, roots: Iterable[int]) -> tuple[float, int]:
        """(seconds of CPU time, bytes of memory) of these processes and all that they started."""
        cpu, memory, waiting = 0.0, 0, list(roots)
        while waiting:
            pid = waiting.pop()
            seconds, size = self._own.get(pid, (0.0, 0))
            cpu, memory = cpu + seconds, memory + size
            waiting += self._children[pid]
        return cpu, memory

    def _read(self, pid: int) -> None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
        except (OSError, ValueError):
            return  # it has ended
        # utime, stime and those of children that have ended and were waited for
        cpu = sum(map(int, fields[11:15])) / _TICKS
        self._own[pid] = (cpu, max(0, int(resident) - int(shared)) * _PAGE)
        self._children[int(fields[1])].append(pid)


def _state(layout: Layout, info: Mapping[str, Any]) -> ProgramState:
    found = _GROUP.match(info["group"])
    assert found is not None
    if found["service"]:
        starts = layout.services / f"{found['service']}.starts"
    else:
        short = str(info["name"]).removeprefix(f"{info['group']}-")
        starts = layout.release(int(found["release"])) / f"{short}.starts"
    again = restarts(starts)
    alive = info["statename"] in _ALIVE
    ended = "" if alive and not again else process.describe_exit(info["exitstatus"])
    if ended and sandbox.ran_out_of_memory(str(info["name"])):
        ended = "it ran out of memory"
    return ProgramState(_name(Path(info["stdout_logfile"]).name), alive, again, ended)


def _name(log: str) -> str:
    if log == "access.log":
        return "nginx"
    program, _, kind = log.removesuffix(".log").rpartition(".")
    return f"{program}{_KINDS.get(kind, f' ({kind})')}"


def restarts(starts: Path) -> int:
    """How often a program was started again; launch.py adds a byte to the file at each start."""
    try:
        return max(0, starts.stat().st_size - 1)
    except OSError:
        return 0


def _end(log: Path) -> Position | None:
    try:
        found = log.stat()
    except OSError:
        return None
    return Position(found.st_ino, found.st_size)


def _lines(log: Path, offset: int) -> tuple[list[bytes], int]:
    """Whole lines from there on, and where they end."""
    try:
        with log.open("rb") as file:
            if offset > os.fstat(file.fileno()).st_size:
                offset = 0  # it was emptied
            file.seek(offset)
            data = file.read(_MOST)
            whole = data.rfind(b"\n") + 1
            rest = not whole and len(data) == _MOST
            skipped = os.fstat(file.fileno()).st_size if len(data) == _MOST else offset + whole
    except OSError:
        return [], offset
    return data[:whole].splitlines(), skipped if not rest else offset + len(data)


def _count(lines: Iterable[bytes], until: Position) -> Requests:
    answered = list(_answered(lines))
    last = max((at for *_, at in answered), default=None)
    return Requests(
        until,
        count=len(answered),
        errors=sum(status >= 500 for status, _, _ in answered),
        seconds=[seconds for _, seconds, _ in answered],
        last=last,
    )


def _answered(lines: Iterable[bytes]) -> Iterator[tuple[int, float, float]]:
    """(status, seconds it took, when) of each request; see log_format in nginx/config.py. Quotes within are escaped."""
    known: dict[str, float] = {}
    for line in lines:
        parts = line.decode("utf-8", "replace").split('"')
        try:
            status, took = int(parts[2].split()[0]), parts[-1].split()
            when = parts[0].rpartition("[")[2].rstrip().rstrip("]")
            if when not in known:
                known[when] = datetime.strptime(when, "%d/%b/%Y:%H:%M:%S %z").timestamp()
            if took[1:] != ["stranger"]:
                yield status, float(took[0]), known[when]
        except (IndexError, ValueError):
            continue  # cut short by a full disk
