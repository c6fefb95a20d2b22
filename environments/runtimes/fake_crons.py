"""The crons of the fake runtime: nothing is scheduled; a run begins when somebody asks, and does what fake scripts do.

A run whose script says `wait` goes on until it is stopped, or until a test ends it.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from environments.manifest import Cron
from environments.process import Stopped, Watch
from environments.runtimes.base import Place, RuntimeFailure
from environments.runtimes.crons import Outcome, Run, Trigger

_LOOK = 0.02  # seconds


class FakeCrons:
    """`folder` says where an environment is, `known` which crons an app of its release has."""

    def __init__(
        self,
        folder: Callable[[Place], Path],
        known: Callable[[Place, int, str], dict[str, str]],
        script: Callable[[str, Watch, Path], int],
    ) -> None:
        self._folder = folder
        self._known = known
        self._script = script

    def quiet(self, place: Place, watch: Watch, *, patience: float, lease: float, why: str) -> None:
        self._file(place, "quiet").write_text(str(time.time() + lease))
        began, told = time.monotonic(), set[str]()
        while running := [run for run in self.runs(place) if run.ended is None]:
            reason = watch.should_stop()
            if reason is not None:
                raise Stopped(reason)
            for run in running:
                if run.id not in told:
                    told.add(run.id)
                    watch.output(f"The cron {run.cron} runs: waiting up to {patience:g} s for it\n".encode())
                if time.monotonic() - began >= patience:
                    watch.output(f"{run.cron} did not end within {patience:g} s and is being stopped\n".encode())
                    self.stop(place, run.id, why=why)
            time.sleep(_LOOK)

    def wake(self, place: Place) -> None:
        self._file(place, "quiet").unlink(missing_ok=True)

    def quiet_until(self, place: Place) -> float | None:
        file = self._file(place, "quiet")
        return float(file.read_text()) if file.exists() else None

    def allow(self, place: Place, allowed: bool) -> None:
        if allowed:
            self._file(place, "off").unlink(missing_ok=True)
        else:
            self._file(place, "off").touch()

    def allowed(self, place: Place) -> bool:
        return not self._file(place, "off").exists()

    def start(self, place: Place, number: int, app: str, cron: str, *, id: str, by: str) -> None:
        known = self._known(place, number, app)
        if cron not in known:
            raise RuntimeFailure("cron-unknown", f"The release that serves has no cron {cron}.")
        if self.find(place, id) is not None:
            return
        if any(run.cron == cron and run.app == app and run.ended is None for run in self.runs(place)):
            raise RuntimeFailure("cron-busy", f"{cron} runs already. Wait for its end, or stop it.")
        self.begin(place, number, app, cron, id=id, by=by)
        if known[cron].strip() != "wait":
            said: list[bytes] = []
            code = self._script(known[cron], Watch(output=said.append), self._file(place, "out").parent)
            self._file(place, f"{id}.out").write_bytes(b"".join(said))
            self.end(place, id, Outcome.FAILED if code else Outcome.SUCCEEDED, code)

    def stop(self, place: Place, id: str, *, why: str) -> None:
        run = self.find(place, id)
        if run is not None and run.ended is None:
            self.end(place, id, Outcome.STOPPED, 143, note=why)

    def runs(self, place: Place) -> Sequence[Run]:
        found = [self.find(place, path.stem) for path in self._file(place, "x").parent.glob("*.json")]
        return sorted((run for run in found if run is not None), key=lambda run: (run.started, run.id))

    def find(self, place: Place, id: str) -> Run | None:
        file = self._file(place, f"{id}.json")
        if not file.exists():
            return None
        told = json.loads(file.read_text())
        return Run(**{**told, "trigger": Trigger(told["trigger"]), "outcome": Outcome(told["outcome"])})

    def output(self, place: Place, id: str, *, after: int = 0) -> bytes:
        file = self._file(place, f"{id}.out")
        return file.read_bytes()[after:] if file.exists() else b""

    def forget(self, place: Place, ids: Sequence[str]) -> None:
        for id in ids:
            run = self.find(place, id)
            if run is None or run.ended is not None:
                self._file(place, f"{id}.json").unlink(missing_ok=True)
                self._file(place, f"{id}.out").unlink(missing_ok=True)

    # -- what tests ask of it ---------------------------------------------------------------------------------------

    def begin(self, place: Place, number: int, app: str, cron: str, *, id: str, by: str = "") -> None:
        """Let a run begin, by the schedule unless somebody asked; it goes on until `end`."""
        trigger = Trigger.PERSON if by else Trigger.SCHEDULE
        self._save(place, Run(id, app, cron, number, trigger, by, time.time(), None, Outcome.RUNNING, None, ""))

    def end(self, place: Place, id: str, outcome: Outcome, code: int, *, note: str = "", output: bytes = b"") -> None:
        run = self.find(place, id)
        assert run is not None
        if output:
            self._file(place, f"{id}.out").write_bytes(output)
        self._save(place, replace(run, ended=time.time(), outcome=outcome, code=code, note=note))

    def _save(self, place: Place, run: Run) -> None:
        file = self._file(place, f"{run.id}.json")
        temporary = file.with_suffix(".new")
        temporary.write_text(json.dumps(asdict(run)))
        temporary.replace(file)

    def _file(self, place: Place, name: str) -> Path:
        folder = self._folder(place) / "crons"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name


def commands(crons: Mapping[str, Cron]) -> dict[str, str]:
    return {name: cron.commands.start for name, cron in crons.items()}
