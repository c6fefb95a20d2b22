"""What an environment holds, as a whole: copied at one instant, taken in from a copy, given back, counted.

A copy is a folder with `services/<name>`, each a data directory, and `mounts/<volume>`. In an environment's own folder,

    incoming/   is a copy that waits to be taken in; whole or absent
    aside/      what was there before, until the activity that took it in lets it go; NAME.none stands for nothing
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from environments import backing, process
from environments.backing import files
from environments.process import Stopped, Watch
from environments.runtimes.base import RuntimeFailure, ServiceSpec, Snapshot
from environments.runtimes.local import freezing, sandbox
from environments.runtimes.local.layout import Layout, make_private, plain, throw_away
from environments.runtimes.local.supervisor import Supervisor
from environments.runtimes.local.watching import tail
from portal.paths import Home

_STOP_WAIT = 60  # seconds a database gets to write everything down
_COPY_LIMIT = 3600.0
_LONGEST = 900.0  # seconds for which programs may stand still
_FICLONE = 0x40049409
_SPARE = 256 * 1024**2  # bytes that a copy must leave on the disk


class Data:
    def __init__(self, home: Home, supervisor: Supervisor, *, timeout: float) -> None:
        self._home = home
        self._supervisor = supervisor
        self._timeout = timeout

    def snapshot(self, layout: Layout, services: Sequence[ServiceSpec], into: Path, watch: Watch) -> Snapshot:
        sources = {f"services/{plain(spec.name)}": _data(layout, spec) for spec in services}
        if layout.mounts.is_dir():
            sources |= {f"mounts/{path.name}": path for path in sorted(layout.mounts.iterdir())}
        sources = {name: path for name, path in sources.items() if path.is_dir()}
        fresh = into.with_name(f"{into.name}.new")
        throw_away(self._home, [fresh, into])
        make_private(fresh / "services", fresh / "mounts")
        _check_room(list(sources.values()), fresh)
        running = [spec for spec in services if self._runs(layout, spec)]
        counts: dict[str, Mapping[str, int]] = {}
        try:
            with freezing.held(layout, limit=_LONGEST) as held:
                held.hold(but=[plain(spec.name) for spec in running])
                try:
                    for spec in running:
                        counts[spec.name] = _before_copy(spec, layout)
                    held.hold()
                    at = datetime.now(UTC)
                    for name, path in sources.items():
                        _copy(path, fresh / name, watch)
                    held.check()
                finally:
                    for spec in running:
                        backing.engine_for(spec.asked).after_copy(spec, _data(layout, spec))
        except BaseException:
            throw_away(self._home, [fresh])
            raise
        process.run(["sync", "--file-system", "--", str(fresh)], timeout=_COPY_LIMIT)
        fresh.rename(into)
        folders = {spec.name: plain(spec.name) for spec in services}
        return Snapshot(at=at, held=held.seconds, folders=folders, counts=counts)

    def take_in(self, layout: Layout, services: Sequence[ServiceSpec]) -> None:
        for spec in services:
            fresh = layout.incoming / "services" / plain(spec.name)
            if not fresh.is_dir():
                continue
            self._halt(layout, spec)
            _set_aside(_data(layout, spec), layout.aside / "services" / plain(spec.name))
            make_private(_data(layout, spec).parent)
            backing.engine_for(spec.asked).adopt(spec, fresh)
            fresh.rename(_data(layout, spec))
        if (layout.incoming / "mounts").is_dir():
            if not (layout.aside / "mounts").exists() and layout.mounts.is_dir():
                make_private(layout.aside)
                layout.mounts.rename(layout.aside / "mounts")
            make_private(layout.aside / "mounts")
            throw_away(self._home, [layout.mounts])
            (layout.incoming / "mounts").rename(layout.mounts)

    def give_back(self, layout: Layout, services: Sequence[ServiceSpec]) -> None:
        for spec in services:
            old, data = layout.aside / "services" / plain(spec.name), _data(layout, spec)
            nothing = old.with_name(f"{old.name}.none")
            if not (old.is_dir() or nothing.exists()):
                continue
            self._halt(layout, spec)
            throw_away(self._home, [data])
            if old.is_dir():
                old.rename(data)
            nothing.unlink(missing_ok=True)
        if (layout.aside / "mounts").is_dir():
            throw_away(self._home, [layout.mounts])
            (layout.aside / "mounts").rename(layout.mounts)
        self.let_go_aside(layout)

    @staticmethod
    def keeps_aside(layout: Layout) -> bool:
        incoming = layout.incoming
        return any(path.exists() for path in (layout.aside, incoming, incoming.with_name(f"{incoming.name}.new")))

    def let_go_aside(self, layout: Layout) -> None:
        incoming = layout.incoming
        throw_away(self._home, [layout.aside, incoming, incoming.with_name(f"{incoming.name}.new")])

    def count(self, spec: ServiceSpec, data: Path, watch: Watch) -> Mapping[str, int]:
        engine = backing.engine_for(spec.asked)
        top = self._home.scratch(secrets.token_hex(3))
        own, sockets = top / "service" / "data", top / "s"
        make_private(top, own.parent, sockets)
        label = f"scratch-{top.name}"
        try:
            data.rename(own)
            engine.adopt(spec, own)
            engine.create(spec, own, sockets)
            box = engine.program(spec, own, sockets)
            path, log = top / "service.json", top / "log"
            sandbox.write_alone(path, box, label=label)
            with process.running(sandbox.command(path), log):
                self._wait(spec, sockets, log, watch)
                return engine.count(spec, sockets)
        finally:
            throw_away(self._home, [top])
            sandbox.remove_groups(label)

    def _wait(self, spec: ServiceSpec, sockets: Path, log: Path, watch: Watch) -> None:
        engine, deadline = backing.engine_for(spec.asked), time.monotonic() + self._timeout
        while not engine.ready(spec, sockets):
            reason = watch.should_stop()
            if reason is not None:
                raise Stopped(reason)
            if time.monotonic() > deadline:
                message = f'A throw-away copy of "{spec.name}" did not answer within {self._timeout:g} seconds.'
                raise RuntimeFailure("proof-failed", f"{message}\n{tail(log)}".rstrip(), by_user=False)
            time.sleep(0.05)

    def _runs(self, layout: Layout, spec: ServiceSpec) -> bool:
        group = layout.service_group(spec.name)
        statuses = self._supervisor.statuses(group, self._supervisor.programs(group))
        return any(status.alive for status in statuses)

    def _halt(self, layout: Layout, spec: ServiceSpec) -> None:
        self._supervisor.remove(layout.service_group(spec.name), patience=_STOP_WAIT)


def _data(layout: Layout, spec: ServiceSpec) -> Path:
    return layout.services / plain(spec.name) / "data"


def _before_copy(spec: ServiceSpec, layout: Layout) -> Mapping[str, int]:
    try:
        return backing.engine_for(spec.asked).before_copy(spec, layout.sockets)
    except RuntimeFailure:
        raise
    except Exception as error:  # the client libraries' own, of which each engine has several
        message = f'The service "{spec.name}" does not answer, so its data cannot be copied: {error}'
        raise RuntimeFailure("snapshot-failed", message, by_user=False) from error


def _set_aside(data: Path, aside: Path) -> None:
    """Once only: what is there later is what was taken in."""
    nothing = aside.with_name(f"{aside.name}.none")
    if aside.exists() or nothing.exists():
        shutil.rmtree(data, ignore_errors=True)
        return
    make_private(aside.parent)
    if data.is_dir():
        data.rename(aside)
    else:
        nothing.touch()


def _copy(source: Path, target: Path, watch: Watch) -> None:
    said: list[bytes] = []
    argv = ["cp", "--archive", "--reflink=auto", "--no-target-directory", "--", str(source), str(target)]
    code = process.stream(argv, Watch(output=said.append, should_stop=watch.should_stop, total=_COPY_LIMIT))
    if code != 0:
        raise process.CommandFailed(argv, code, b"".join(said).decode("utf-8", "replace")[-2000:])


def _check_room(sources: Sequence[Path], target: Path) -> None:
    """Raises RuntimeFailure when the copy would fill the disk. Where files can share their blocks it takes none."""
    if _shares_blocks(target):
        return
    size = sum(files.disk_use(path) for path in sources)
    found = os.statvfs(target)
    free = found.f_bavail * found.f_frsize
    if size + _SPARE > free:
        target.rmdir() if not any(target.iterdir()) else shutil.rmtree(target, ignore_errors=True)
        message = (
            f"There is no space for the copy: it takes {size / 1024**3:.1f} GB and {free / 1024**3:.1f} GB are free. "
            "Delete backups or deactivate environments, then try again."
        )
        raise RuntimeFailure("no-space", message, by_user=False)


def _shares_blocks(folder: Path) -> bool:
    one, other = folder / ".one", folder / ".other"
    try:
        with one.open("wb") as source, other.open("wb") as target:
            source.write(b"x" * 4096)
            source.flush()
            fcntl.ioctl(target, _FICLONE, source.fileno())
    except OSError:
        return False
    else:
        return True
    finally:
        for path in (one, other):
            with contextlib.suppress(OSError):
                path.unlink()
