"""The verbs of the `local` runtime."""

import secrets
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from environments import backing, process
from environments.backing import holding
from environments.manifest import Mount
from environments.process import TimedOut, Watch
from environments.runtimes.base import (
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
from environments.runtimes.crons import Crons
from environments.runtimes.gauges import Gauges
from environments.runtimes.local import freezing, languages, nginx, probe, sandbox, strays, volumes
from environments.runtimes.local.build import Builder, BuildLimits
from environments.runtimes.local.crons import LocalCrons
from environments.runtimes.local.data import Data
from environments.runtimes.local.gauges import LocalGauges
from environments.runtimes.local.layout import Layout, throw_away
from environments.runtimes.local.network import Network, mail_of
from environments.runtimes.local.network import state as network_state
from environments.runtimes.local.programs import Plan
from environments.runtimes.local.services import Services
from environments.runtimes.local.supervisor import Supervisor
from environments.runtimes.local.watching import Crashes, logged
from environments.runtimes.local.workers import LocalWorkers
from environments.runtimes.workers import Workers
from portal.paths import Home

_POST_START_LIMIT = 300.0  # seconds
_KILLED_AFTER = 3.0  # seconds that programs of an environment that is being removed get to end


@dataclass(frozen=True)
class Limits:
    """Memory and disk in bytes, time in seconds."""

    app_memory: int
    build_memory: int
    build_disk: int
    start_timeout: float
    build_environment: Mapping[str, str] = field(default_factory=dict)
    network_allow: Sequence[str] = ()  # private networks that programs of environments may reach
    network_ports: Sequence[int] = ()  # inside an environment, at which the portal answers as it does outside


class LocalRuntime:
    name = "local"

    def __init__(self, home: Home, limits: Limits) -> None:
        self._home = home
        self._limits = limits
        self._supervisor = Supervisor(home)
        self._services = Services(self._supervisor, timeout=limits.start_timeout)
        self.crons: Crons = LocalCrons(home)
        self._data = Data(home, self._supervisor, timeout=limits.start_timeout)
        self.workers: Workers = LocalWorkers(home, self._supervisor)
        self.gauges: Gauges = LocalGauges(home, self._supervisor)

    def languages(self) -> Mapping[str, Sequence[str]]:
        return languages.installed()

    def engines(self) -> Mapping[str, Sequence[str]]:
        shared = not network_state(self._home).isolated
        return {name: found for name, found in backing.installed().items() if not (shared and name in backing.OPEN)}

    def prepare(self) -> None:
        sandbox.refuse_root()
        backing.prepare()

    def build(self, spec: BuildSpec, watch: Watch) -> None:
        limits = BuildLimits(self._limits.build_memory, self._limits.build_disk, self._limits.build_environment)
        Builder(self._home, limits).build(spec, watch)

    def provision(self, spec: ServiceSpec, watch: Watch) -> None:
        sandbox.refuse_root()
        self._network(spec.place).ensure()
        self._services.provision(self._layout(spec.place), spec, watch)

    def answers(self, spec: ServiceSpec) -> bool:
        return backing.engine_for(spec.asked).ready(spec, self._layout(spec.place).sockets)

    def stop_service(self, spec: ServiceSpec) -> None:
        self._services.stop(self._layout(spec.place), spec)

    def hold_service(self, spec: ServiceSpec, held: bool) -> bool:
        return holding.hold(spec, self._layout(spec.place).sockets, held)

    def remove_service(self, spec: ServiceSpec) -> None:
        self._services.remove(self._layout(spec.place), spec)

    def snapshot(self, place: Place, services: Sequence[ServiceSpec], into: Path, watch: Watch) -> Snapshot:
        return self._data.snapshot(self._layout(place), services, into, watch)

    def left_standing(self, place: Place) -> bool:
        return freezing.left_standing(self._layout(place))

    def keeps_aside(self, place: Place) -> bool:
        return self._data.keeps_aside(self._layout(place))

    def release_held(self, place: Place) -> bool:
        return freezing.release(self._layout(place))

    def incoming(self, place: Place) -> Path:
        return self._layout(place).incoming

    def take_in(self, place: Place, services: Sequence[ServiceSpec]) -> None:
        self._data.take_in(self._layout(place), services)

    def give_back(self, place: Place, services: Sequence[ServiceSpec]) -> None:
        self._data.give_back(self._layout(place), services)

    def discard_aside(self, place: Place) -> None:
        self._data.let_go_aside(self._layout(place))

    def throw_away(self, folder: Path) -> None:
        throw_away(self._home, [folder])

    def count(self, spec: ServiceSpec, data: Path, watch: Watch) -> Mapping[str, int]:
        sandbox.refuse_root()
        return self._data.count(spec, data, watch)

    def place(self, release: ReleaseSpec) -> None:
        self._network(release.place).ensure()
        plan = self._plan(release)
        if plan.misplaced():
            self._supervisor.remove(release.group)
        plan.place()

    def start(self, release: ReleaseSpec) -> None:
        programs = [planned.program for planned in self._plan(release).programs()]
        if not self._supervisor.add(release.group, programs):
            self._supervisor.start(release.group)
            return
        for program in release.programs:
            commands = program.app.web.commands if program.worker is None else program.worker.commands
            if commands.post_start and program.worker is None:
                quiet = Watch(output=lambda _: None, total=_POST_START_LIMIT)
                script = f"(\n{commands.post_start}\n) || echo 'post_start failed'"
                self.run(release, program.name, script, quiet, log="app")

    def probe(self, release: ReleaseSpec, *, timeout: float, watch: Watch) -> Probe:
        plan = self._plan(release)
        logs = {planned.program.name: planned.program.errors or planned.program.log for planned in plan.programs()}
        apps = {program.app.name for program in release.programs if program.worker is None}
        return probe.Prober(
            release=release,
            door=self._layout(release.place).probe(release.number),
            listens={app: plan.listens(app) for app in apps},
            logs=logs,
            crashes=Crashes(self._supervisor, release.group, list(logs)),
            connect=self._network(release.place).connect,
            watch=watch,
            timeout=timeout,
        ).ask()

    def run(self, release: ReleaseSpec, program: str, script: str, watch: Watch, *, log: str = "") -> int:
        self._network(release.place).ensure()
        layout = self._layout(release.place)
        path = layout.release(release.number) / f"x{secrets.token_hex(4)}.json"
        label = self._plan(release).once(program, script, path)
        try:
            with logged(layout.log(program, log) if log else None, watch) as watched:
                code = process.stream(sandbox.command(path), watched)
            if code != 0 and sandbox.ran_out_of_memory(label):
                limit = self._limits.app_memory // 1024**2
                raise RuntimeFailure("run-memory", f"It ran out of memory: the limit is {limit} MB.")
            return code
        except TimedOut as error:
            raise RuntimeFailure("silence-limit" if error.silent else "time-limit", str(error)) from error
        finally:
            path.unlink(missing_ok=True)
            sandbox.remove_groups(label)

    def enter(self, release: ReleaseSpec, program: str, entry: Entry) -> Inside:
        sandbox.refuse_root()
        self._network(release.place).ensure()
        path = self._layout(release.place).release(release.number) / f"x{secrets.token_hex(8)}.json"
        label = self._plan(release).entered(program, entry, path)
        return Inside(sandbox.command(path), release.place, label, path)

    def leave(self, inside: Inside) -> str:
        inside.description.unlink(missing_ok=True)
        killed = sandbox.ran_out_of_memory(inside.label)
        sandbox.remove_groups(inside.label)
        return f"It ran out of memory: the limit is {self._limits.app_memory // 1024**2} MB." if killed else ""

    def logs(self, place: Place) -> Path:
        return self._layout(place).logs

    def mount(self, place: Place, program: str, mount: Mount) -> tuple[Path, str]:
        return volumes.kept(self._layout(place), program, mount)

    def front(self, release: ReleaseSpec) -> Path:
        return self._layout(release.place).front(release.number)

    def stop(self, place: Place, number: int) -> None:
        layout = self._layout(place)
        group = layout.group(number)
        names = self._supervisor.programs(group)
        # What answers requests goes on until the last of them is answered; workers and crons end at once.
        first = [name for name in names if name.rpartition("-")[2][:1] in ("n", "w", "c")]
        doors = [name for name in first if name.endswith("-nginx")]
        self._supervisor.signal(group, first)
        self._supervisor.wait_ended(group, doors, nginx.DRAIN + 5)
        self._supervisor.remove(group)
        throw_away(self._home, [layout.release(number), layout.release_sockets(number)])
        sandbox.remove_groups(group)

    def remove(self, place: Place) -> None:
        layout = self._layout(place)
        network = self._network(place)
        for group in self._supervisor.groups(f"e{place.key}-"):
            if group != network.group:
                self._supervisor.remove(group, patience=_KILLED_AFTER)
        network.remove()
        throw_away(self._home, [layout.folder, layout.sockets])
        sandbox.remove_groups(f"e{place.key}")

    def connect(self, place: Place, address: str, port: int) -> socket.socket:
        return self._network(place).connect(address, port)

    def listen(self, place: Place, address: str, port: int) -> socket.socket:
        return self._network(place).listen(address, port)

    def mail(self, place: Place) -> tuple[str, int]:
        return mail_of(self._layout(place))

    def network(self, place: Place) -> str:
        return self._network(place).identity()

    def why_shared(self) -> str | None:
        found = network_state(self._home)
        return None if found.isolated else found.reason

    def releases(self, place: Place) -> Sequence[int]:
        layout = self._layout(place)
        prefix = f"e{place.key}-r"
        names = [group.removeprefix(prefix) for group in self._supervisor.groups(prefix)]
        for folder in (layout.releases, layout.sockets):
            names += [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return sorted({int(name) for name in names if name.isdigit()})

    def strays(self, known: Mapping[Place, Collection[str] | None]) -> Sequence[Stray]:
        return strays.find(self._home, self._supervisor, known)

    def healthy(self, release: ReleaseSpec) -> bool:
        plan = self._plan(release)
        if not self._network(release.place).alive() or plan.misplaced():
            return False
        names = plan.names()
        statuses = self._supervisor.statuses(release.group, names)
        return len(statuses) == len(names) and all(status.alive for status in statuses)

    def _layout(self, place: Place) -> Layout:
        return Layout(self._home, place)

    def _network(self, place: Place) -> Network:
        limits = self._limits
        layout = self._layout(place)
        return Network(self._supervisor, layout, allow=limits.network_allow, ports=limits.network_ports)

    def _plan(self, release: ReleaseSpec) -> Plan:
        return Plan(self._layout(release.place), release, memory=self._limits.app_memory)
