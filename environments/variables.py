"""The environment variables of builds and of running programs. Pure: plain data in, names and texts out.

Who wins, from weakest to strongest: the app's own `variables`, then those set for the project and its environments,
then what the platform provides. The file `.environment` in the app's folder has the last word, where programs start.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from environments.manifest import App, Worker
from environments.routing import ResolvedRoute, platform_routes
from portal.errors import Invalid

APP_DIR = "/app"  # where an app's folder is, in builds and at run time
CACHE_DIR = "/run/cache"  # where a build finds what earlier builds of the app left, on any branch

MAX_BYTES = 128 * 1024 - 1  # of NAME=value: Linux starts no program with a longer one (MAX_ARG_STRLEN with its NUL)
MAX_TOTAL_BYTES = 1024 * 1024  # of all of them; Linux allows a quarter of the stack limit, mostly 2 MiB

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_TYPES = {"integration": "development"}  # existing applications know production, staging and development
_PREFIXES = {"platform": ("PLATFORM_",), "magento": ("PLATFORM_", "MAGENTO_CLOUD_")}


class Project(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def entropy(self) -> str:
        """56 characters, secret and the same for the project's life."""
        ...


class Environment(Protocol):
    @property
    def branch(self) -> str: ...

    @property
    def machine_name(self) -> str: ...

    @property
    def type(self) -> str:
        """ "integration", "staging" or "production"."""
        ...


@dataclass(frozen=True)
class Variable:
    """One that was set for a project or an environment. `value` is text, or any JSON."""

    name: str  # "env:NAME" becomes an environment variable, all others are in PLATFORM_VARIABLES: "theme:color"
    value: Any
    visible_build: bool = False
    visible_runtime: bool = True
    is_enabled: bool = True  # false hides what is inherited under the same name
    is_sensitive: bool = False  # its value is shown to nobody; programs see it all the same


def build_environment(
    *, project: Project, app: App, tree_id: str, variables: Sequence[Variable] = (), flavour: str = "platform"
) -> dict[str, str]:
    """For build hooks: nothing of an environment, so that one slug serves all. `variables`: the stronger ones later.

    Libraries tell a build by the absence of PLATFORM_ENVIRONMENT. Raises Invalid for what cannot be a variable.
    """
    settings = merged(app.variables, [variable for variable in variables if variable.visible_build])
    provided = _common(project, app, tree_id, settings) | {
        "APPLICATION": _encoded(app.public_config(build=True)),
        "CACHE_DIR": CACHE_DIR,
        "OUTPUT_DIR": APP_DIR,
        "VENDOR": "platformsh",  # what existing scripts compare it with
    }
    return _checked(_own(settings) | _prefixed(provided, flavour) | {"CI": "true"})


def run_environment(
    *,
    project: Project,
    environment: Environment,
    app: App,
    tree_id: str,
    relationships: Mapping[str, Sequence[Mapping[str, Any]]],
    routes: Iterable[ResolvedRoute],
    worker: Worker | None = None,
    variables: Sequence[Variable] = (),
    port: int | None = None,
    socket: str | None = None,
    smtp_host: str = "",
    flavour: str = "platform",
) -> dict[str, str]:
    """For the app's web program, or for `worker`, and for hooks, crons and shells there.

    `relationships`: entries by relationship name, see backing's `Engine.relationship` and `app_entry`. `variables`: the
    stronger ones later. `port` or `socket` is where the program is to listen. Raises Invalid for what cannot be a
    variable.
    """
    given = app.variables if worker is None else worker.variables
    settings = merged(given, [variable for variable in variables if variable.visible_runtime])
    commands = app.web.commands if worker is None else worker.commands
    started = {
        "APP_COMMAND": commands.start,
        "PRE_APP_COMMAND": commands.pre_start,
        "POST_APP_COMMAND": commands.post_start,
    }
    provided = _common(project, app, tree_id, settings) | {
        "APPLICATION": _encoded(app.public_config(build=False)),
        "BRANCH": environment.branch,
        "ENVIRONMENT": environment.machine_name,
        "ENVIRONMENT_TYPE": _TYPES.get(environment.type, environment.type),
        "DOCUMENT_ROOT": document_root(app),
        "SMTP_HOST": smtp_host,
        "RELATIONSHIPS": _encoded(relationships),
        "ROUTES": _encoded(platform_routes(routes)),
        **{name: command for name, command in started.items() if command},
    }
    listening = {"PORT": str(port)} if port is not None else {}
    listening |= {"SOCKET": socket} if socket is not None else {}
    return _checked(_own(settings) | _prefixed(provided, flavour) | listening)


def app_entry(*, relationship: str, app: App, endpoint: str, address: str, port: int, cluster: str) -> dict[str, Any]:
    """The entry of PLATFORM_RELATIONSHIPS for another app. `cluster` is "<project id>-<machine name>"."""
    host = f"{relationship}.internal"
    return {
        "host": host,
        "hostname": host,
        "ip": address,
        "port": port,
        "scheme": "http",
        "username": None,
        "password": None,
        "path": None,
        "query": [],
        "fragment": None,
        "rel": endpoint,
        "service": app.name,
        "cluster": cluster,
        "type": app.type,
        "public": False,
        "host_mapped": False,
    }


def merged(own: Mapping[str, Mapping[str, Any]], variables: Iterable[Variable]) -> dict[str, Any]:
    """By full name, "prefix:key". `own` is an app's `variables`; later ones of `variables` replace earlier ones.

    Names of environment variables are upper case, however they were written.
    """
    found = {_name(prefix, key): value for prefix, keys in own.items() for key, value in keys.items()}
    for variable in variables:
        prefix, colon, key = variable.name.partition(":")
        name = _name(prefix, key) if colon else variable.name
        found.pop(name, None)
        if variable.is_enabled:
            found[name] = variable.value
    return found


def with_php(app: App, variables: Iterable[Variable]) -> App:
    """The app with the settings for php.ini that it is to have: its own `php:` variables and those set from outside."""
    found = merged({"php": app.variables.get("php", {})}, variables)
    php = {name.removeprefix("php:"): value for name, value in found.items() if name.startswith("php:")}
    return (
        app
        if php == app.variables.get("php", {})
        else app.model_copy(update={"variables": {**app.variables, "php": php}})
    )


def document_root(app: App) -> str:
    """The folder that `/` is served from; the app's own when it serves no files."""
    root = next((location.root for path, location in sorted(app.locations.items()) if location.root is not None), "")
    return f"{APP_DIR}/{root}".rstrip("/")


def _name(prefix: str, key: str) -> str:
    return f"{prefix}:{key.upper()}" if prefix == "env" else f"{prefix}:{key}"


def _common(project: Project, app: App, tree_id: str, settings: Mapping[str, Any]) -> dict[str, str]:
    elsewhere = ("env:", "php:")  # the environment itself and php.ini
    variables = {name: value for name, value in settings.items() if not name.startswith(elsewhere)}
    return {
        "APPLICATION_NAME": app.name,
        "APP_DIR": APP_DIR,
        "PROJECT": project.id,
        "PROJECT_ENTROPY": project.entropy,
        "TREE_ID": tree_id,
        "VARIABLES": _encoded(variables),
    }


def _own(settings: Mapping[str, Any]) -> dict[str, str]:
    """Variables of the `env:` prefix; what is not text is JSON."""
    return {
        name.removeprefix("env:"): value if isinstance(value, str) else _json(value)
        for name, value in settings.items()
        if name.startswith("env:")
    }


def _prefixed(provided: Mapping[str, str], flavour: str) -> dict[str, str]:
    return {prefix + name: value for prefix in _PREFIXES[flavour] for name, value in provided.items()}


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _encoded(value: Any) -> str:
    return base64.b64encode(_json(value).encode("utf-8", "replace")).decode()


def _checked(environment: dict[str, str]) -> dict[str, str]:
    total = 0
    for name, value in environment.items():
        if not _NAME.match(name):
            message = f'"{name[:80]}" cannot be the name of an environment variable.'
            raise Invalid(f"{message} Use letters, digits and _, and no digit first.", field="variables")
        if "\0" in value:
            raise Invalid(f"The value of {name[:80]} holds a NUL character. Remove it.", field="variables")
        try:
            size = len(f"{name}={value}".encode())
        except UnicodeEncodeError:
            raise Invalid(f"The value of {name[:80]} is not text.", field="variables") from None
        total += size + 1
        if size > MAX_BYTES:
            raise Invalid(f"{name[:80]} takes {size} bytes; programs can be given {MAX_BYTES}.", field="variables")
    if total > MAX_TOTAL_BYTES:
        message = f"All variables together take {total} bytes; programs can be given {MAX_TOTAL_BYTES}."
        raise Invalid(message, field="variables")
    return environment
