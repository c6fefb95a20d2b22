"""The crons of an environment, asked of their schedulers: see cron.py, which stands on the other side."""

import contextlib
import fcntl
import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from environments.process import Stopped, Watch
from environments.runtimes.base import Place, RuntimeFailure
from environments.runtimes.crons import Outcome, Run, Trigger
from environments.runtimes.local.layout import Layout, make_private, plain
from portal.paths import Home

_ID = re.compile(r"[a-z0-9]{6,40}\Z")
_POLL = 0.1
_ANSWER = 5.0  # seconds for a scheduler to answer
_LONGEST_STOP = 300.0  # seconds that a cron which must make room gets to end, whatever it asks for
_MARGIN = 3.0


class LocalCrons:
    def __init__(self, home: Home) -> None:
        self._home = home

    def quiet(self, place: Place, watch: Watch, *, patience: float, lease: float, why: str) -> None:
        layout = self._layout(place)
        make_private(layout.crons)
        _write(layout.crons_quiet, {"until": time.time() + lease, "why": why})
        began, told, asked, end = time.monotonic(), set[str](), False, float("inf")
        while running := self._running(layout):
            reason = watch.should_stop()
            if reason is not None:
                raise Stopped(reason)
            now = time.monotonic()
            for each in running:
                if each["id"] not in told:
                    told.add(each["id"])
                    watch.output(f"The cron {each['cron']} runs: waiting up to {patience:g} s for it\n".encode())
            if not asked and now - began >= patience:
                asked = True
                names = ", ".join(sorted({each["cron"] for each in running}))
                watch.output(f"{names} did not end within {patience:g} s and is being stopped\n".encode())
                for path in self._sockets(layout):
                    self._ask(path, {"verb": "stop", "id": None, "why": why, "within": _LONGEST_STOP})
                end = now + min(_LONGEST_STOP, max(each["shutdown_timeout"] for each in running)) + _MARGIN
            if now > end:
                self._kill(layout)
                end = now + _MARGIN
            time.sleep(_POLL)

    def wake(self, place: Place) -> None:
        self._layout(place).crons_quiet.unlink(missing_ok=True)

    def quiet_until(self, place: Place) -> float | None:
        found = _read(self._layout(place).crons_quiet)
        return float(found["until"]) if found else None

    def allow(self, place: Place, allowed: bool) -> None:
        off = self._layout(place).crons_off
        if allowed:
            off.unlink(missing_ok=True)
        elif not off.exists():
            make_private(off.parent)
            off.touch()

    def start(self, place: Place, number: int, app: str, cron: str, *, id: str, by: str) -> None:
        layout = self._layout(place)
        for path in sorted(layout.release_sockets(number).glob("k*.sock")):
            status = self._ask(path, {"verb": "status"})
            if status is None or status["app"] != app:
                continue
            answer = self._ask(path, {"verb": "run", "cron": cron, "id": id, "by": by})
            if answer is not None:
                _raise(cron, answer)
                return
        raise RuntimeFailure(
            "cron-asleep", f"Nothing runs the crons of {app} in v{number} now. Try again in a minute.", by_user=False
        )

    def stop(self, place: Place, id: str, *, why: str) -> None:
        for path in self._sockets(self._layout(place)):
            self._ask(path, {"verb": "stop", "id": id, "why": why})

    def runs(self, place: Place) -> Sequence[Run]:
        layout = self._layout(place)
        found = [_run(record) for record in self._records(layout)]
        return sorted(found, key=lambda run: (run.started, run.id))

    def find(self, place: Place, id: str) -> Run | None:
        layout = self._layout(place)
        record = _read(layout.crons / f"{_checked(id)}.json")
        return _run(record) if record else None

    def output(self, place: Place, id: str, *, after: int = 0) -> bytes:
        try:
            with (self._layout(place).crons / f"{_checked(id)}.out").open("rb") as file:
                file.seek(after)
                return file.read()
        except FileNotFoundError:
            return b""

    def forget(self, place: Place, ids: Sequence[str]) -> None:
        layout = self._layout(place)
        for id in ids:
            run = self.find(place, id)
            if run is not None and run.ended is None:
                continue
            for suffix in ("out", "json"):  # the record last: by it an interrupted removal is found again
                (layout.crons / f"{_checked(id)}.{suffix}").unlink(missing_ok=True)

    def _records(self, layout: Layout) -> Iterator[dict[str, Any]]:
        for path in layout.crons.glob("*.json") if layout.crons.is_dir() else ():
            record = _read(path)
            if record is not None and "id" in record:
                yield record

    def _running(self, layout: Layout) -> list[dict[str, Any]]:
        """What schedulers that answer say; what one that does not answer had begun, as long as it lives."""
        found: list[dict[str, Any]] = []
        silent = False
        for path in self._sockets(layout):
            status = self._ask(path, {"verb": "status"})
            if status is None:
                silent = True
            else:
                found += status["running"]
        if silent and _holders(layout):
            known = {each["id"] for each in found}
            began = [each for each in self._records(layout) if each["ended"] is None and each["id"] not in known]
            found += [{**each, "shutdown_timeout": 0.0} for each in began]
        return found

    def _kill(self, layout: Layout) -> None:
        """A scheduler that does not do what it is told; supervisord starts another one. Its runs end with it."""
        for pid in _holders(layout):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _sockets(layout: Layout) -> list[Path]:
        return sorted(layout.sockets.glob("*/k*.sock"))

    @staticmethod
    def _ask(path: Path, question: dict[str, Any]) -> dict[str, Any] | None:
        """None when nobody answers: there is no such scheduler (any more), or it hangs."""
        try:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(_ANSWER)
                asking.connect(str(path))
                asking.sendall(json.dumps(question).encode() + b"\n")
                with asking.makefile("rb") as file:
                    answer = json.loads(file.readline())
        except (OSError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    def _layout(self, place: Place) -> Layout:
        return Layout(self._home, place)


def lock(layout: Layout, app: str) -> Path:
    """Held by the one scheduler that runs the app's crons; its process id stands in it."""
    return layout.crons / f"{plain(app)}.lock"


def _holders(layout: Layout) -> list[int]:
    found = []
    for path in layout.crons.glob("*.lock"):
        with path.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                found += [int(text)] if text.isdigit() else []
    return found


def _raise(cron: str, answer: dict[str, Any]) -> None:
    refused = answer.get("refused")
    if refused == "cron-busy":
        raise RuntimeFailure("cron-busy", f"{cron} runs already. Wait for its end, or stop it.")
    if refused:
        raise RuntimeFailure(refused, f"The release that serves has no cron {cron}.")


def _run(record: dict[str, Any]) -> Run:
    names = ("id", "app", "cron", "release", "by", "started", "ended", "code", "note")
    known = {name: record[name] for name in names}
    return Run(**known, trigger=Trigger(record["trigger"]), outcome=Outcome(record["outcome"]))


def _checked(id: str) -> str:
    if not _ID.match(id):
        raise ValueError(f"{id!r} is not the id of a run")
    return id


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(path)
