"""Carries out the plan of a build in a sandbox that sees the app's tree, its cache, the network, and nothing else."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from environments import building, process
from environments.process import Stopped, TimedOut, Watch
from environments.runtimes.base import BuildSpec, RuntimeFailure, Sandbox
from environments.runtimes.local import languages, php, sandbox, toolbox, volumes
from environments.runtimes.local.layout import make_private, plain, throw_away
from environments.variables import CACHE_DIR
from portal.paths import Home

_TMP = "/tmp"  # noqa: S108 - the sandbox's own
_PROCESSES = 2048
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_TRUST = (
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "npm_config_cafile",
)
_REGISTRY = ("PIP_", "NPM_CONFIG_", "npm_config_", "COMPOSER_")
_PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_LEAST_FREE = 512 * 1024**2
_FILE_TOO_LARGE = (-signal.SIGXFSZ, 128 + signal.SIGXFSZ)
_LOOK = 1.0  # seconds between looks at the disk


@dataclass(frozen=True)
class BuildLimits:
    memory: int  # bytes
    disk: int  # bytes, of the finished tree
    environment: Mapping[str, str]


class Builder:
    def __init__(self, home: Home, limits: BuildLimits) -> None:
        self._home = home
        self._limits = limits

    def build(self, spec: BuildSpec, watch: Watch) -> None:
        version = toolbox.choose(spec.app)
        for warning in _warnings(spec, version):
            watch.output(f"Warning: {warning}\n".encode())
        scratch = spec.tree.with_name(f"{spec.tree.name}.tmp")
        make_private(spec.cache, scratch)
        sandbox.remove_forgotten_groups()
        points = {*spec.app.mounts, *(path for worker in spec.app.workers.values() for path in worker.mounts)}
        guard = DiskGuard(spec.tree, self._limits.disk)
        deadline = None if watch.total is None else time.monotonic() + watch.total
        try:
            for command in building.plan(spec.app, {entry.name for entry in os.scandir(spec.tree)}):
                left = None if deadline is None else max(1.0, deadline - time.monotonic())
                self._run(spec, version, command, replace(watch, total=left), guard, scratch)
            volumes.make_points(spec.tree, points)
            guard.final()
        finally:
            throw_away(self._home, [scratch])

    def _run(
        self,
        spec: BuildSpec,
        version: toolbox.Version,
        command: building.Command,
        watch: Watch,
        guard: "DiskGuard",
        scratch: Path,
    ) -> None:
        if command.needs and languages.program(command.needs) is None:
            message = f"{command.title} is not possible: {command.needs} is not installed on this host."
            raise RuntimeFailure("build-tool-missing", message)
        watch.output(f"{command.title}\n".encode())
        label = f"b-{plain(spec.activity_id)}-{plain(spec.app.name)}"
        path = scratch.with_name(f"{scratch.name}.json")
        files = toolbox.files(spec.app, version, spec.tree)
        if command.script is not None:
            files = toolbox.with_script(files, command.script)
        box = Sandbox(
            argv=toolbox.run_script() if command.script is not None else command.argv,
            env=self._environment(spec, version) | dict(command.env),
            writable=[(spec.tree, "/app"), (spec.cache, CACHE_DIR), (scratch, _TMP)],
            cwd="/app",
            memory=self._limits.memory,
            processes=_PROCESSES,
            file_size=self._limits.disk,
            label=label,
        )
        sandbox.write(path, box, sandbox.Extras(files=files))
        stop = _either(watch.should_stop, guard.reason)
        try:
            code = process.stream(sandbox.command(path), replace(watch, should_stop=stop))
            if code != 0:
                raise self._failure(command, code, label, guard)
        except TimedOut as error:
            raise _timed_out(command, error) from error
        except Stopped as error:
            if guard.tripped:
                raise RuntimeFailure(guard.tripped, error.reason, by_user=guard.tripped != "no-space") from error
            raise
        finally:
            path.unlink(missing_ok=True)
            sandbox.remove_groups(label)

    def _environment(self, spec: BuildSpec, version: toolbox.Version) -> dict[str, str]:
        trust = dict.fromkeys(_TRUST, _BUNDLE) if Path(_BUNDLE).exists() else {}
        return {
            **toolbox.environment(spec.app, version),
            "CI": "1",
            **trust,
            **_of_host(os.environ),
            **self._limits.environment,
            **spec.env,
            **building.cache_environment(CACHE_DIR),
        }

    def _failure(self, command: building.Command, code: int, label: str, guard: "DiskGuard") -> RuntimeFailure:
        if sandbox.ran_out_of_memory(label):
            limit = self._limits.memory // 1024**2
            return RuntimeFailure("build-memory", f"{command.title}: out of memory, the limit is {limit} MB.")
        if guard.full():
            return RuntimeFailure("no-space", _no_space(), by_user=False)
        if code in _FILE_TOO_LARGE:
            limit = self._limits.disk // 1024**2
            return RuntimeFailure(
                "build-too-big", f"{command.title}: a file grew beyond {limit} MB, which is the limit."
            )
        how = process.describe_exit(code)
        if command.kind == "hook":
            return RuntimeFailure("build-hook-failed", f"The build hook failed with {how}. Its last lines say why.")
        return RuntimeFailure(f"build-{command.kind}-failed", f"{command.title} failed with {how}.")


class DiskGuard:
    """Ends a build whose tree grows beyond its limit or that leaves no space on the disk."""

    def __init__(self, tree: Path, limit: int) -> None:
        self._tree = tree
        self._limit = limit
        self._free_before = self._free()
        self._looked = time.monotonic()
        self.tripped = ""  # the id of the failure, once it is one

    def reason(self) -> str | None:
        if time.monotonic() - self._looked < _LOOK:
            return None
        self._looked = time.monotonic()
        if self.full():
            self.tripped = "no-space"
            return _no_space()
        # Counting files is slow: it is done only when the disk says that the tree may have grown that much.
        if self._free_before - self._free() > self._limit and size(self._tree) > self._limit:
            self.tripped = "build-too-big"
            return self._too_big()
        return None

    def final(self) -> None:
        if self._free_before - self._free() > self._limit and size(self._tree) > self._limit:
            raise RuntimeFailure("build-too-big", self._too_big())

    def full(self) -> bool:
        return self._free() < min(_LEAST_FREE, self._free_before // 2)

    def _free(self) -> int:
        found = os.statvfs(self._tree)
        return found.f_bavail * found.f_frsize

    def _too_big(self) -> str:
        return f"The build made more than {self._limit // 1024**2} MB of files, which is the limit."


def size(tree: Path) -> int:
    """Bytes that a tree takes on the disk."""
    total = 0
    for folder, _, names in os.walk(tree):
        for name in names:
            try:
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
            except OSError:
                continue
    return total


def _no_space() -> str:
    return "There is no space left on the disk. Free some, for example by deactivating or deleting environments."


def _timed_out(command: building.Command, error: TimedOut) -> RuntimeFailure:
    what = "The build hook" if command.kind == "hook" else command.title
    if error.silent:
        return RuntimeFailure("silence-limit", f"{what} printed nothing for {error.seconds:g} seconds and was stopped.")
    return RuntimeFailure("time-limit", f"{what} ran until the build's time was over and was stopped.")


def _warnings(spec: BuildSpec, version: toolbox.Version) -> list[str]:
    found = [version.warning] if version.warning else []
    return found + (php.warnings(spec.app, version.version) if version.language == "php" and version.version else [])


def _either(first: Callable[[], str | None], second: Callable[[], str | None]) -> Callable[[], str | None]:
    return lambda: first() or second()


def _of_host(environ: Mapping[str, str]) -> dict[str, str]:
    """The host's registry and proxy settings, but for those that name a place no sandbox sees."""
    found = {name: value for name, value in environ.items() if name in (*_PROXY, *_TRUST) or name.startswith(_REGISTRY)}
    return {name: value for name, value in found.items() if not _elsewhere(value)}


def _elsewhere(value: str) -> bool:
    paths = [word.removeprefix("file://") for word in value.split() if word.startswith(("/", "file:"))]
    return any(not path.startswith(("/usr/", "/etc/ssl/")) for path in paths)
