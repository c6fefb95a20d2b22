"""The configuration of an app: as written (`AppSpec`), and put together for use (`App`)."""

import re
import zoneinfo
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from .base import Model
from .catalog import LANGUAGES
from .parts import (
    Access,
    AllDependencies,
    Build,
    Cron,
    Dependencies,
    Firewall,
    Hooks,
    Mount,
    MountSpec,
    Operation,
    Preflight,
    Relationship,
    RelationshipSpec,
    Resources,
    Runtime,
    SourceOperation,
    Variables,
)
from .problems import did_you_mean, shown
from .values import Address, AppName, ContainerSize, DiskSize, Folder, HostName, Json, Name, Script, describe, wrong
from .values import RelationshipName as RelName
from .web import Location, Upstream, Web

_VERSION = re.compile(r"[0-9][A-Za-z0-9.+-]{0,19}\Z")
_FLAVORS = {"php": "composer", "nodejs": "default"}


def _type(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong(f"{describe(value)} is not the type of an app.", 'a language and a version, such as "python:3.11"')
    language, _, version = value.partition(":")
    if language not in LANGUAGES:
        hint = did_you_mean({"node": "nodejs", "go": "golang"}.get(language, language), LANGUAGES)
        raise wrong(f'There is no language "{shown(language)}".{hint}', ", ".join(LANGUAGES))
    if not _VERSION.match(version):
        raise wrong(f'"{shown(value)}" lacks a usable version.', f'such as "{language}:8.2"')
    return value


def _timezone(value: Any) -> str:
    if isinstance(value, str) and re.match(r"[A-Za-z][A-Za-z0-9_+/-]{0,63}\Z", value):
        try:
            zoneinfo.ZoneInfo(value)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            pass
        else:
            return value
    hint = did_you_mean(str(value), ("UTC", "Europe/Berlin", "Europe/Paris", "Europe/London", "America/New_York"))
    raise wrong(f"{describe(value)} is not a time zone.{hint}", 'a name such as "UTC" or "Europe/Paris"')


Timezone = Annotated[str, BeforeValidator(_timezone)]


class WorkerCommands(Model):
    pre_start: Script | None = None
    start: Script
    post_start: Script | None = None


class WorkerSpec(Model):
    """What is left out (None) is inherited from the app."""

    commands: WorkerCommands
    size: ContainerSize | None = None
    disk: DiskSize | None = None
    mounts: dict[Folder, MountSpec] | None = None
    relationships: dict[RelName, RelationshipSpec] | None = None
    variables: Variables | None = None
    access: Access | None = None
    timezone: Timezone | None = None
    firewall: Firewall | None = None
    resources: Resources | None = None


class Source(Model):
    root: Folder | None = None
    operations: dict[Name, SourceOperation] = Field(default_factory=dict)


class _AppKeys(Model):
    """The keys that mean the same as written and in use."""

    name: AppName
    type: Annotated[str, BeforeValidator(_type)]
    size: ContainerSize = "AUTO"
    disk: DiskSize | None = None
    access: Access = Access()
    timezone: Timezone | None = None
    variables: Variables = Field(default_factory=dict)
    firewall: Firewall | None = None
    build: Build = Build()
    hooks: Hooks = Hooks()
    web: Web = Field(default_factory=lambda: Web.model_validate({}))
    crons: dict[Name, Cron] = Field(default_factory=dict)
    operations: dict[Name, Operation] = Field(default_factory=dict)
    runtime: Runtime = Runtime()
    preflight: Preflight = Preflight()
    additional_hosts: dict[HostName, Address] = Field(default_factory=dict)
    resources: Resources | None = None
    stack: Json = None


class AppSpec(_AppKeys):
    relationships: dict[RelName, RelationshipSpec] = Field(default_factory=dict)
    mounts: dict[Folder, MountSpec] = Field(default_factory=dict)
    workers: dict[Name, WorkerSpec] = Field(default_factory=dict)
    dependencies: AllDependencies = AllDependencies()
    source: Source = Source()


class Worker(Model):
    """A worker with all it inherits from its app filled in. `app_name` and `name` together name its container."""

    app_name: str
    name: str
    commands: WorkerCommands
    size: str
    disk: int | None
    mounts: dict[str, Mount]
    relationships: dict[str, Relationship]
    variables: dict[str, dict[str, Any]]
    access: Access
    timezone: str | None
    firewall: Firewall | None
    resources: Resources | None

    @property
    def full_name(self) -> str:
        return f"{self.app_name}--{self.name}"


class App(_AppKeys):
    """An app, ready for use: relationships have endpoints, mounts a source, workers what they inherit.

    `source_root` is the app's folder from the root of the repository, "" when that is the root itself.
    `mounts` are named by their path from `source_root`, without slashes around it.
    """

    source_root: str
    config_file: str
    relationships: dict[str, Relationship]
    mounts: dict[str, Mount]
    workers: dict[str, Worker]
    dependencies: dict[str, Dependencies]  # by package manager: php, python, python2, python3, ruby, nodejs
    source_operations: dict[str, SourceOperation]

    @property
    def language(self) -> str:
        return self.type.partition(":")[0]

    @property
    def version(self) -> str:
        return self.type.partition(":")[2]

    @property
    def upstream(self) -> Upstream:
        return self.web.upstream or default_upstream(self.language)

    @property
    def locations(self) -> dict[str, Location]:
        return self.web.locations

    def build_config(self) -> dict[str, Any]:
        """All that can change the result of a build, and nothing else, as JSON."""
        mounts = set(self.mounts).union(*(worker.mounts for worker in self.workers.values()))
        return {
            "type": self.type,
            "build": _dump(self.build),
            "dependencies": _dump_all(self.dependencies),
            "hooks": {"build": self.hooks.build},
            "runtime": _dump(self.runtime),
            "source": {"root": self.source_root},
            "stack": self.stack,
            "variables": self.variables,
            "mounts": sorted(mounts),
        }

    def public_config(self, build: bool) -> dict[str, Any]:
        """What the app is told about itself in PLATFORM_APPLICATION. A build sees no part that may differ between
        environments of one slug."""
        mounts = _dump_all(self.mounts)
        config: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "size": self.size,
            "disk": self.disk,
            "timezone": self.timezone,
            "mounts": mounts,
            "variables": self.variables,
            "firewall": _dump(self.firewall),
            "build": _dump(self.build),
            "dependencies": {name: _as_written(found) for name, found in self.dependencies.items()},
            "runtime": _runtime(self.runtime),
            "preflight": _dump(self.preflight),
            "additional_hosts": self.additional_hosts,
            "operations": _dump_all(self.operations),
            "source": {"root": self.source_root or "/", "operations": _dump_all(self.source_operations)},
            "stack": self.stack,
        }
        if build:
            workers = {name: {"mounts": _dump_all(worker.mounts)} for name, worker in self.workers.items()}
            return config | {"hooks": {"build": self.hooks.build}, "web": {"mounts": mounts}, "workers": workers}
        return config | {
            "access": _dump(self.access),
            "relationships": _dump_all(self.relationships),
            "hooks": _dump(self.hooks),
            "crons": _dump_all(self.crons),
            "web": _web(self.web) | {"upstream": _dump(self.upstream)},
            "workers": {name: _dump(worker, {"app_name"}) for name, worker in self.workers.items()},
        }


def default_upstream(language: str) -> Upstream:
    return Upstream(socket_family="unix", protocol="fastcgi") if language == "php" else Upstream()


def put_together(
    spec: AppSpec,
    *,
    config_file: str,
    folder: str,
    relationships: dict[str, Relationship],
    worker_relationships: dict[str, dict[str, Relationship]],
) -> App:
    """`folder` is where the app's file is; relationships come resolved, `worker_relationships` by worker name."""
    kept = {name: getattr(spec, name) for name in _AppKeys.model_fields}
    language = spec.type.partition(":")[0]
    flavor = spec.build.flavor or _FLAVORS.get(language, "none")
    kept["build"] = spec.build.changed(flavor=flavor)
    kept["web"] = spec.web.changed(upstream=spec.web.upstream or default_upstream(language))
    managers = {name: getattr(spec.dependencies, name) for name in AllDependencies.model_fields}
    mounts = _mounts(spec.mounts)
    workers = {
        name: _worker(spec, name, worker, mounts, worker_relationships.get(name, relationships))
        for name, worker in spec.workers.items()
    }
    return App.model_construct(
        **kept,
        source_root=folder if spec.source.root is None else spec.source.root,
        config_file=config_file,
        relationships=relationships,
        mounts=mounts,
        workers=workers,
        dependencies={name: found for name, found in managers.items() if found is not None},
        source_operations=spec.source.operations,
    )


def _worker(
    app: AppSpec, name: str, spec: WorkerSpec, mounts: dict[str, Mount], relationships: dict[str, Relationship]
) -> Worker:
    def own(key: str) -> Any:
        value = getattr(spec, key)
        return getattr(app, key) if value is None else value

    inherited = ("size", "disk", "variables", "access", "timezone", "firewall", "resources")
    return Worker.model_construct(
        app_name=app.name,
        name=name,
        commands=spec.commands,
        mounts=mounts if spec.mounts is None else _mounts(spec.mounts),
        relationships=relationships,
        **{key: own(key) for key in inherited},
    )


def _mounts(specs: dict[str, MountSpec]) -> dict[str, Mount]:
    return {path: spec.mount(path) for path, spec in specs.items()}


def _dump(model: Model | None, without: set[str] | None = None) -> Any:
    return None if model is None else model.model_dump(mode="json", exclude=without)


def _dump_all(models: dict[str, Any]) -> dict[str, Any]:
    return {name: _dump(model) for name, model in models.items()}


def _as_written(dependencies: Dependencies) -> dict[str, Any]:
    if dependencies.repositories:
        return {"require": dependencies.packages, "repositories": list(dependencies.repositories)}
    return dict(dependencies.packages)


def _runtime(runtime: Runtime) -> dict[str, Any]:
    """Extensions without configuration are plain names, as they mostly are in the file."""
    dumped: dict[str, Any] = _dump(runtime)
    dumped["extensions"] = [entry if entry["configuration"] else entry["name"] for entry in dumped["extensions"]]
    return dumped


def _web(web: Web) -> dict[str, Any]:
    """Times as the original writes them, `600s`; what a rule leaves out is left out."""
    dumped: dict[str, Any] = _dump(web)
    for location in dumped["locations"].values():
        location["expires"] = f"{location['expires']}s"
        for pattern, rule in location["rules"].items():
            given = {key: value for key, value in rule.items() if value is not None}
            if "expires" in given:
                given["expires"] = f"{given['expires']}s"
            location["rules"][pattern] = given
    return dumped
