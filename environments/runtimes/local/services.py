"""Backing services: each one program, kept running beside the releases of its environment."""

import time
from pathlib import Path

from environments import backing
from environments.backing.base import Engine, label, socket_directory
from environments.process import Stopped, Watch
from environments.runtimes.base import RuntimeFailure, Sandbox, ServiceSpec
from environments.runtimes.local import sandbox
from environments.runtimes.local.layout import Layout, make_private, plain, throw_away
from environments.runtimes.local.supervisor import Program, Supervisor
from environments.runtimes.local.watching import Crashes, tail

_STOP_WAIT = 60  # seconds a database gets to write everything down


class Services:
    def __init__(self, supervisor: Supervisor, *, timeout: float) -> None:
        self._supervisor = supervisor
        self._timeout = timeout

    def provision(self, layout: Layout, spec: ServiceSpec, watch: Watch) -> None:
        engine = backing.engine_for(spec.asked)
        group, data = layout.service_group(spec.name), self._data(layout, spec.name)
        make_private(layout.services, layout.sockets, layout.logs)
        engine.create(spec, data, layout.sockets)
        path = layout.services / f"{plain(spec.name)}.json"
        box = engine.program(spec, data, layout.sockets)
        log = layout.log(spec.name, "service")
        program = Program(
            f"{group}-0", sandbox.command(path), log, stop_signal=box.stop_signal, stop_wait=_STOP_WAIT, priority=100
        )
        # One that answers goes on as it is, for the release that serves needs it: `configure` changes what can be
        # changed while it runs, and the next start does the rest.
        outside = sandbox.joins_none(path)
        changed = self._describe(path, box, layout)
        if outside or (changed and not engine.ready(spec, layout.sockets)):
            self._supervisor.remove(group)
        if not self._supervisor.add(group, [program]):
            self._supervisor.start(group)
        self._wait(spec, engine, layout, program, watch)
        engine.configure(spec, layout.sockets)

    def stop(self, layout: Layout, spec: ServiceSpec) -> None:
        self._supervisor.remove(layout.service_group(spec.name), patience=_STOP_WAIT)
        (layout.services / f"{plain(spec.name)}.starts").unlink(missing_ok=True)
        sandbox.remove_groups(label(spec))

    def remove(self, layout: Layout, spec: ServiceSpec) -> None:
        group = layout.service_group(spec.name)
        self._supervisor.remove(group, patience=5)
        for ending in ("json", "starts"):
            (layout.services / f"{plain(spec.name)}.{ending}").unlink(missing_ok=True)
        sockets = socket_directory(spec, layout.sockets)
        throw_away(layout.home, [self._data(layout, spec.name).parent, sockets])
        sandbox.remove_groups(label(spec))

    @staticmethod
    def _data(layout: Layout, name: str) -> Path:
        return layout.services / plain(name) / "data"

    @staticmethod
    def _describe(path: Path, box: Sandbox, layout: Layout) -> bool:
        """Write the description; True when another one, or half of one, stood there before."""
        before = path.read_bytes() if path.exists() else None
        sandbox.write(path, box, sandbox.Extras(network=layout.network))
        return before is not None and before != path.read_bytes()

    def _wait(self, spec: ServiceSpec, engine: Engine, layout: Layout, program: Program, watch: Watch) -> None:
        group = layout.service_group(spec.name)
        crashes = Crashes(self._supervisor, group, [program.name])
        deadline = time.monotonic() + self._timeout
        pause = 0.02
        while not engine.ready(spec, layout.sockets):
            reason = watch.should_stop()
            if reason is not None:
                raise Stopped(reason)
            crashed = crashes.seen() is not None
            if crashed or time.monotonic() > deadline:
                how = "does not start" if crashed else f"did not answer within {self._timeout:g} seconds"
                message = f'The service "{spec.name}" ({spec.asked}) {how}.\n{tail(program.log)}'.rstrip()
                raise RuntimeFailure("service-not-ready", message, by_user=False)
            time.sleep(pause)
            pause = min(pause * 1.3, 0.2)
