"""The workers of the fake runtime: they run once their release was started, and restart when they are told to."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from environments.runtimes.base import Place
from environments.runtimes.workers import Condition, WorkerState


class FakeWorkers:
    def __init__(self, folder: Callable[[Place, int], Path]) -> None:
        self._folder = folder

    def place(self, place: Place, number: int, names: Sequence[str]) -> None:
        file = self._file(place, number)
        if not file.exists():
            self._write(file, dict.fromkeys(names, 0))

    def states(self, place: Place, number: int) -> Sequence[WorkerState]:
        file = self._file(place, number)
        restarts: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
        condition = Condition.RUNNING if (file.parent / "started").exists() else Condition.STOPPED
        at = time.time()
        return [
            WorkerState(name, condition, at, times, "signal SIGTERM" if times else "", at if times else None)
            for name, times in sorted(restarts.items())
        ]

    def restart(self, place: Place, number: int, name: str) -> None:
        file = self._file(place, number)
        restarts = json.loads(file.read_text()) if file.exists() else {}
        if name in restarts:
            self._write(file, restarts | {name: restarts[name] + 1})

    def _file(self, place: Place, number: int) -> Path:
        return self._folder(place, number) / "workers"

    @staticmethod
    def _write(file: Path, content: dict[str, int]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
