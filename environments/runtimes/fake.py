"""A runtime that runs nothing of strangers, for tests of what is around it; held to the same contract as the real one.

What it has is on disk below the home, so that separate processes agree about it. Scripts are not given to a shell: of
their lines only `echo TEXT`, `sleep SECONDS`, `exit CODE` and `file NAME` (writes one into the tree) mean something.

Tests steer it by files: `fail(verb)` makes a verb fail, `hold(verb)` makes it wait until `let_go(verb)`. Each verb
writes its begin and end into a journal, which shows whether two ever ran side by side.
"""

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from environments import process
from environments.manifest import Mount
from environments.process import Stopped, Watch
from environments.runtimes.base import (
    SHARED,
    BuildSpec,
    Entry,
    Inside,
    Place,
    Probe,
    ReleaseSpec,
    RuntimeFailure,
    ServiceSpec,
    Snapshot,
    Stray,
)
from environments.runtimes.fake_crons import FakeCrons, commands
from environments.runtimes.fake_gauges import FakeGauges
from environments.runtimes.fake_workers import FakeWorkers
from portal.paths import Home

_LOOK = 0.02  # seconds
_ENTERED = Path(__file__).with_name("fake_program.py")


class FakeRuntime:
    name = "fake"

    def __init__(self, home: Home) -> None:
        self._home = home
        self._root = home.root / "fake"
        self.workers = FakeWorkers(self._release)
        self.gauges = FakeGauges()
        self.crons = FakeCrons(self._environment, self._crons_of, self._script)

    # -- what tests ask of it ---------------------------------------------------------------------------------------

    def fail(self, verb: str, message: str = "It was told to fail.") -> None:
        self._write(self._root / "orders" / f"{verb}.fail", message)

    def hold(self, verb: str) -> None:
        self._write(self._root / "orders" / f"{verb}.hold", "")

    def let_go(self, verb: str) -> None:
        for order in (self._root / "orders").glob(f"{verb}.*"):
            order.unlink(missing_ok=True)

    def journal(self) -> list[dict[str, Any]]:
        """Every begin and end of a verb: {"verb", "what", "key", "number", "pid", "at"}."""
        path = self._root / "journal"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def held(self, key: int, service: str) -> bool:
        path = self._environment(Place("", "", key)) / "services" / service
        return bool(json.loads(path.read_text()).get("held"))

    # -- the verbs --------------------------------------------------------------------------------------------------

    def languages(self) -> Mapping[str, Sequence[str]]:
        return {"php": ["8.2"], "python": ["3.11"], "nodejs": ["18"]}

    def engines(self) -> Mapping[str, Sequence[str]]:
        return {
            "mariadb": ["10.11"],
            "mysql": ["10.11"],
            "postgresql": ["15"],
            "redis": ["7.0"],
            "valkey": ["7.0"],
        }

    def prepare(self) -> None:
        self._write(self._root / "prepared", "")

    def build(self, spec: BuildSpec, watch: Watch) -> None:
        with self._verb("build", spec.app.name, watch=watch):
            code = self._script(spec.app.hooks.build or "", watch, spec.tree)
            if code != 0:
                raise RuntimeFailure(
                    "build-hook-failed", f"The build hook of {spec.app.name} ended with exit code {code}."
                )

    def provision(self, spec: ServiceSpec, watch: Watch) -> None:
        with self._verb("provision", spec.place, watch=watch):
            self._write(self._service(spec), json.dumps({"engine": spec.engine, "address": spec.address, "runs": True}))

    def answers(self, spec: ServiceSpec) -> bool:
        path = self._service(spec)
        return path.exists() and bool(json.loads(path.read_text())["runs"])

    def stop_service(self, spec: ServiceSpec) -> None:
        with self._verb("stop_service", spec.place):
            path = self._service(spec)
            if path.exists():
                self._write(path, json.dumps(json.loads(path.read_text()) | {"runs": False}))

    def hold_service(self, spec: ServiceSpec, held: bool) -> bool:
        with self._verb("hold_service", spec.place):
            path = self._service(spec)
            self._write(path, json.dumps(json.loads(path.read_text()) | {"held": held}))
            return True

    def remove_service(self, spec: ServiceSpec) -> None:
        with self._verb("remove_service", spec.place):
            self._service(spec).unlink(missing_ok=True)

    def snapshot(self, place: Place, services: Sequence[ServiceSpec], into: Path, watch: Watch) -> Snapshot:
        with self._verb("snapshot", place, watch=watch):
            shutil.rmtree(into, ignore_errors=True)
            fresh = into.with_name(f"{into.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            for part in ("services", "mounts"):
                (fresh / part).mkdir(parents=True)
            wanted = {spec.name for spec in services}
            for name, path in self._data(place).items():
                if name[0] == "mounts" or name[1] in wanted:
                    shutil.copytree(path, fresh / name[0] / name[1])
            fresh.rename(into)
            return Snapshot(at=datetime.now(UTC), held=0.01, folders={name: name for name in wanted}, counts={})

    def left_standing(self, place: Place) -> bool:
        return False

    def release_held(self, place: Place) -> bool:
        return False

    def keeps_aside(self, place: Place) -> bool:
        return any((self._environment(place) / name).exists() for name in ("aside", "incoming", "incoming.new"))

    def incoming(self, place: Place) -> Path:
        return self._environment(place) / "incoming"

    def take_in(self, place: Place, services: Sequence[ServiceSpec]) -> None:
        with self._verb("take_in", place):
            self._move(place, services, self.incoming(place), self._environment(place) / "aside")

    def give_back(self, place: Place, services: Sequence[ServiceSpec]) -> None:
        with self._verb("give_back", place):
            aside = self._environment(place) / "aside"
            if aside.is_dir():
                self._move(place, services, aside, self._environment(place) / "incoming")
            self.discard_aside(place)

    def discard_aside(self, place: Place) -> None:
        for name in ("aside", "incoming", "incoming.new"):
            shutil.rmtree(self._environment(place) / name, ignore_errors=True)

    def throw_away(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def count(self, spec: ServiceSpec, data: Path, watch: Watch) -> Mapping[str, int]:
        with self._verb("count", spec.place, watch=watch):
            return {path.name: path.stat().st_size for path in sorted(data.iterdir())}

    def data(self, place: Place, part: str, name: str) -> Path:
        """The data of a service (part "services") or of a volume (part "mounts"), for tests to put files into."""
        folder = self._environment(place) / "data" / part / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def place(self, release: ReleaseSpec) -> None:
        with self._verb("place", release.place, release.number):
            self.front(release).parent.mkdir(parents=True, exist_ok=True)
            programs = [program.name for program in release.programs]
            folder = self._release(release.place, release.number)
            self._write(folder / "placed", json.dumps(programs))
            self.workers.place(release.place, release.number, [each.name for each in release.programs if each.worker])
            crons = {each.name: commands(each.app.crons) for each in release.programs if each.worker is None}
            self._write(folder / "crons", json.dumps(crons))

    def start(self, release: ReleaseSpec) -> None:
        with self._verb("start", release.place, release.number):
            if not (self._release(release.place, release.number) / "placed").exists():
                raise RuntimeFailure("not-placed", "The release was not placed before it was started.", by_user=False)
            front = self.front(release)
            if not front.exists():
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(str(front))
            self._write(self._release(release.place, release.number) / "started", "")

    def probe(self, release: ReleaseSpec, *, timeout: float, watch: Watch) -> Probe:
        with self._verb("probe", release.place, release.number, watch):
            if not self.healthy(release):
                return Probe(ok=False, status=None, milliseconds=0.0, reason="it does not run")
            return Probe(ok=True, status=200, milliseconds=1.0)

    def run(self, release: ReleaseSpec, program: str, script: str, watch: Watch, *, log: str = "") -> int:
        with self._verb("run", release.place, release.number, watch):
            folder = self._release(release.place, release.number)
            return self._script(script, watch, folder)

    def enter(self, release: ReleaseSpec, program: str, entry: Entry) -> Inside:
        if program not in [each.name for each in release.programs]:
            raise RuntimeFailure("runtime-program", f'The release has no program "{program}".', by_user=False)
        path = self._environment(release.place) / f"entry-{secrets.token_hex(8)}"
        told = {**dataclasses.asdict(entry), "program": program, "number": release.number}
        self._write(path, json.dumps(told))
        return Inside(["/usr/bin/python3", "-IS", str(_ENTERED), str(path)], release.place, path.name, path)

    def leave(self, inside: Inside) -> str:
        inside.description.unlink(missing_ok=True)
        return ""

    def logs(self, place: Place) -> Path:
        return self._environment(place) / "logs"

    def mount(self, place: Place, program: str, mount: Mount) -> tuple[Path, str]:
        return self._environment(place) / "mounts" / (mount.service or program), mount.source_path

    def front(self, release: ReleaseSpec) -> Path:
        return self._home.sockets(release.place.key) / str(release.number) / "front.sock"

    def stop(self, place: Place, number: int) -> None:
        with self._verb("stop", place, number):
            shutil.rmtree(self._release(place, number), ignore_errors=True)
            shutil.rmtree(self._home.sockets(place.key) / str(number), ignore_errors=True)

    def remove(self, place: Place) -> None:
        with self._verb("remove", place):
            shutil.rmtree(self._environment(place), ignore_errors=True)
            shutil.rmtree(self._home.sockets(place.key), ignore_errors=True)

    def connect(self, place: Place, address: str, port: int) -> socket.socket:
        return socket.create_connection((address, port), timeout=5)

    def listen(self, place: Place, address: str, port: int) -> socket.socket:
        return socket.create_server((address, port))

    def mail(self, place: Place) -> tuple[str, int]:
        return f"127.62.{place.key // 256 % 256}.{place.key % 256}", 2525

    def network(self, place: Place) -> str:
        return SHARED

    def why_shared(self) -> str | None:
        return "the fake runtime runs nothing that could be kept apart"

    def releases(self, place: Place) -> Sequence[int]:
        return sorted(int(path.name) for path in self._environment(place).glob("releases/*"))

    def strays(self, known: Mapping[Place, Collection[str] | None]) -> Sequence[Stray]:
        services = {place.key: names for place, names in known.items()}
        found = []
        for folder in (self._root / "environments").glob("*"):
            key = int(folder.name)
            if key not in services:
                found.append(self._stray(f"The environment {key}", folder))
            elif (names := services[key]) is not None:
                unasked = [path for path in folder.glob("services/*") if path.name not in names]
                found += [self._stray(f"The service {path.name} of environment {key}", path) for path in unasked]
        return found

    def healthy(self, release: ReleaseSpec) -> bool:
        return (self._release(release.place, release.number) / "started").exists() and self.front(release).exists()

    def services(self, place: Place) -> Sequence[str]:
        return sorted(path.name for path in self._environment(place).glob("services/*"))

    def _data(self, place: Place) -> dict[tuple[str, str], Path]:
        top = self._environment(place) / "data"
        return {(path.parent.name, path.name): path for path in sorted(top.glob("*/*"))}

    def _move(self, place: Place, services: Sequence[ServiceSpec], source: Path, aside: Path) -> None:
        wanted = {spec.name for spec in services}
        for path in sorted(source.glob("*/*")):
            part, name = path.parent.name, path.name
            if part == "mounts" or name in wanted:
                own = self.data(place, part, name)
                (aside / part).mkdir(parents=True, exist_ok=True)
                own.rename(aside / part / name)
                path.rename(own)

    # -- how --------------------------------------------------------------------------------------------------------

    @staticmethod
    def _stray(what: str, path: Path) -> Stray:
        remove = partial(shutil.rmtree, path, ignore_errors=True) if path.is_dir() else path.unlink
        return Stray(what, time.time() - path.stat().st_mtime, remove)

    def _environment(self, place: Place) -> Path:
        return self._root / "environments" / str(place.key)

    def _release(self, place: Place, number: int) -> Path:
        return self._environment(place) / "releases" / str(number)

    def _crons_of(self, place: Place, number: int, app: str) -> dict[str, str]:
        file = self._release(place, number) / "crons"
        found: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
        return found.get(app, {})

    def _service(self, spec: ServiceSpec) -> Path:
        return self._environment(spec.place) / "services" / spec.name

    @contextlib.contextmanager
    def _verb(
        self, verb: str, where: Place | str, number: int | None = None, watch: Watch | None = None
    ) -> Iterator[None]:
        key = where.key if isinstance(where, Place) else where
        entry = {"verb": verb, "key": key, "number": number, "pid": os.getpid()}
        self._note(entry | {"what": "begin", "at": time.monotonic()})
        orders = self._root / "orders"
        while (orders / f"{verb}.hold").exists():
            reason = watch.should_stop() if watch else None
            if reason is not None:
                raise Stopped(reason)
            time.sleep(_LOOK)
        if (orders / f"{verb}.fail").exists():
            raise RuntimeFailure(f"{verb}-failed", (orders / f"{verb}.fail").read_text())
        yield
        self._note(entry | {"what": "end", "at": time.monotonic()})

    def _note(self, entry: Mapping[str, Any]) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "journal").open("a") as file:
            file.write(json.dumps(entry) + "\n")

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @staticmethod
    def _script(script: str, watch: Watch, folder: Path) -> int:
        for line in script.splitlines():
            command, _, rest = line.strip().partition(" ")
            if command == "echo":
                watch.output(f"{rest}\n".encode())
            elif command == "sleep":
                process.stream(["sleep", str(float(rest))], watch)
            elif command == "file":
                (folder / Path(rest).name).write_text(rest)
            elif command == "exit":
                return int(rest or 0)
        return 0
