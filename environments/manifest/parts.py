"""The parts of an app's configuration, apart from `web`."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from . import cron
from .base import Model
from .documents import Number
from .values import (
    Folder,
    Json,
    Line,
    Lines,
    RelationshipName,
    Role,
    Script,
    Truth,
    describe,
    named,
    one_of,
    whole,
    wrong,
)

_PACKAGE = named(r"[A-Za-z0-9@][A-Za-z0-9@/._\[\],+-]{0,213}", "the name of a package")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DAY = 86400
_PORT = Annotated[int, whole(1, 65535)]
_SOURCES = {"temporary": "tmp", "instance": "local", "storage": "local"}


class Relationship(Model):
    service: str  # the name of a service, or of another app
    endpoint: str


class RelationshipSpec(Model):
    """As written: what is left out is filled in when the services are known."""

    service: RelationshipName | None = None
    endpoint: Annotated[str, named(r"[A-Za-z0-9_.+-]{1,63}", "the name of an endpoint")] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        """`service:endpoint` is the older form."""
        if not isinstance(data, str):
            return data
        service, _, endpoint = data.partition(":")
        return {"service": service, "endpoint": endpoint or None}


class Mount(Model):
    """`source_path` is a folder of the volume, "" the whole of it. The key in `App.mounts` is relative to the app."""

    source: Literal["local", "service", "tmp"]
    source_path: str
    service: str | None = None


class MountSpec(Model):
    source: Annotated[str, one_of("local", "service", "tmp", "instance", "storage", "temporary")]
    source_path: Folder | None = None
    service: RelationshipName | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        """`shared:files/NAME` is the older form of a local mount."""
        if not isinstance(data, str):
            return data
        kind, _, path = data.partition(":")
        if kind not in ("shared", "tmp") or not (path == "files" or path.startswith("files/")):
            raise wrong(f"{describe(data)} is not a mount.", 'a mapping with "source", or "shared:files/NAME"')
        return {"source": "local" if kind == "shared" else "tmp", "source_path": path[len("files/") :]}

    def mount(self, path: str) -> Mount:
        source: Any = "service" if self.service else _SOURCES.get(self.source, self.source)
        source_path = path if self.source_path is None else self.source_path
        return Mount(source=source, source_path=source_path, service=self.service)


class Cache(Model):
    directory: Folder
    watch: Lines = ()
    allow_stale: Truth = False
    share_between_apps: Truth = False


class Build(Model):
    """`flavor` is "" until the app is put together: its default depends on the language."""

    flavor: Annotated[str, one_of("none", "default", "composer", "drupal", "symfony")] = ""
    caches: dict[Line, Cache] = Field(default_factory=dict)


def _constraint(value: Any) -> str:
    if value is None:
        return "*"
    text = value.text if isinstance(value, Number) else value
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str) or not re.fullmatch(r"[^\x00-\x1f\x7f]{0,200}", text) or text.startswith("-"):
        raise wrong(f"{describe(value)} is not a version.", 'such as "^2", "1.2.3" or "*"')
    return text or "*"


class Dependencies(Model):
    """Tools for one package manager, with their version constraints. `repositories` are composer's."""

    packages: dict[Annotated[str, _PACKAGE], Annotated[str, BeforeValidator(_constraint)]]
    repositories: tuple[Json, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_either_form(cls, data: Any, info: ValidationInfo) -> Any:
        if data is None:
            return {"packages": {}}
        if not isinstance(data, dict):
            return data
        if isinstance(data.get("require"), dict):
            if unknown := data.keys() - {"require", "repositories"}:
                raise wrong(f"{describe(min(unknown))} cannot stand beside require.", "require, repositories")
            repositories = data.get("repositories") or []
            if isinstance(repositories, dict):
                repositories = list(repositories.values())
            return {"packages": data["require"], "repositories": repositories}
        return {"packages": data}


class AllDependencies(Model):
    php: Dependencies | None = None
    python: Dependencies | None = None
    python2: Dependencies | None = None
    python3: Dependencies | None = None
    ruby: Dependencies | None = None
    nodejs: Dependencies | None = None


class Hooks(Model):
    build: Script | None = None
    deploy: Script | None = None
    post_deploy: Script | None = None


class StartStop(Model):
    start: Script
    stop: Script | None = None


def _schedule(value: Any) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError("it must be text")
        cron.resolve(value, "")
    except ValueError as error:
        allowed = 'five fields: minute, hour, day of month, month, day of week, such as "*/10 * * * *" or "H 3 * * *"'
        raise wrong(f"{describe(value)} is not a schedule: {error}.", allowed) from None
    return value


class Cron(Model):
    """`spec` as written, `H` included: see `cron.resolve`. `shutdown_timeout` and `timeout` are seconds."""

    spec: Annotated[str, BeforeValidator(_schedule)]
    commands: StartStop
    shutdown_timeout: Annotated[int, whole(0, 3600, " (seconds)")] = 10
    timeout: Annotated[int, whole(1, _DAY, " (seconds)")] = _DAY

    @model_validator(mode="before")
    @classmethod
    def _from_cmd(cls, data: Any, info: ValidationInfo) -> Any:
        """`cmd` is the older form of `commands.start`."""
        if not isinstance(data, dict) or data.get("cmd") is None:
            return data
        cls.remember(data, info)
        if data.get("commands") is not None:
            raise wrong('"cmd" and "commands" say the same thing. Keep "commands".')
        return {key: data[key] for key in data if key != "cmd"} | {"commands": {"start": data["cmd"]}}


class Extension(Model):
    name: Annotated[str, named(r"[A-Za-z0-9_.-]{1,64}", "the name of an extension")]
    configuration: dict[str, Json] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return {"name": data} if isinstance(data, str) else data


class SizingHints(Model):
    request_memory: Annotated[int, whole(1, 1_000_000, " (MB)")] = 45
    reserved_memory: Annotated[int, whole(0, 1_000_000, " (MB)")] = 70


class Runtime(Model):
    extensions: tuple[Extension, ...] = ()
    disabled_extensions: Lines = ()
    request_terminate_timeout: Annotated[int, whole(0, _DAY, " (seconds)")] | None = None
    sizing_hints: SizingHints = SizingHints()
    xdebug: dict[str, Json] | None = None
    quicklisp: Json = None


class OutboundRule(Model):
    protocol: Annotated[str, one_of("tcp")] = "tcp"
    ips: Lines = ("0.0.0.0/0",)
    domains: Lines = ()
    ports: tuple[_PORT, ...] = ()


class Firewall(Model):
    outbound: tuple[OutboundRule, ...] = ()


class Resources(Model):
    base_memory: Annotated[int, whole(0, 10_000_000, " (MB)")] | None = None
    memory_ratio: Annotated[int, whole(0, 10_000_000, " (MB)")] | None = None


class Operation(Model):
    commands: StartStop
    timeout: Annotated[int, whole(1, _DAY, " (seconds)")] | None = None
    role: Role | None = None


class SourceOperation(Model):
    command: Script


class Preflight(Model):
    enabled: Truth = True
    ignored_rules: Lines = ()


class Access(Model):
    ssh: Role = "contributor"


def _variables(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    env = value.get("env")
    for key in env if isinstance(env, dict) else ():
        if not _ENV_NAME.match(key):
            allowed = "letters, digits and _, not beginning with a digit"
            raise wrong(f"{describe(key)} cannot be the name of an environment variable.", allowed)
    return {prefix: ({} if values is None else values) for prefix, values in value.items()}


Variables = Annotated[dict[Line, dict[Line, Json]], BeforeValidator(_variables)]
