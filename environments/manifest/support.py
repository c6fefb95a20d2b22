"""What a runtime can do of what a manifest asks for."""

import re
from collections.abc import Iterable, Mapping, Sequence

from .apps import App
from .model import Manifest
from .parts import Relationship
from .problems import Place, Problem, listed, quoted
from .services import Service

# Asked for under one name, served by another when the first is not there. They speak one protocol.
_STAND_INS = {"valkey": "redis", "redis": "valkey"}
_NO_SERVER = dict.fromkeys(
    ("opensearch", "elasticsearch", "elasticsearch-enterprise"), ": Debian has no package of such a server"
)
_SIZE = "sizes are not kept apart here: all apps and services share the host"
_FIREWALL = "outgoing connections are not filtered here"
_APP_KEYS = {
    "firewall": _FIREWALL,
    "resources": _SIZE,
    "preflight.ignored_rules": "there are no preflight checks here",
    "web.move_to_root": "it belonged to a file layout of before 2016",
    "runtime.xdebug": "Xdebug is not started here",
    "runtime.quicklisp": "Lisp is not built here",
    "build.caches": "the folder PLATFORM_CACHE_DIR is kept between builds of an app, whatever is in it",
    "operations": "operations cannot be started here yet",
}
_ROUTE_KEYS = {
    "sticky": "there is one instance of each app, so every visitor is sent to the same one",
    "tls.client_authentication": "client certificates are not asked for here",
    "tls.client_certificate_authorities": "client certificates are not asked for here",
    "tls.min_version": "TLS 1.2 and 1.3 are spoken on all routes",
    "ssi": "server-side includes are not processed here",
}

Versions = Mapping[str, Sequence[str]]


def unsupported(manifest: Manifest, engines: Versions, languages: Versions) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings: what cannot run on a host, and what runs otherwise than asked.

    `engines` and `languages` map a name (`mariadb`, `php`) to the versions on the host.
    """
    errors: list[Problem] = []
    warnings: list[Problem] = []
    for app in manifest.apps:
        _language(manifest, app, languages, errors, warnings)
        warnings += _app_warnings(manifest, app)
    for service in manifest.services.values():
        _engine(manifest, service, engines, errors, warnings)
        warnings += _service_warnings(manifest, service)
    warnings += _route_warnings(manifest)
    return errors, warnings


def placement(service: Service, engines: Versions) -> tuple[str, str] | None:
    """The engine and version that will serve it on a host with `engines`; None when there is none."""
    for engine in (service.engine, _STAND_INS.get(service.engine, "")):
        if found := nearest_version(service.version, engines.get(engine, ())):
            return engine, found
    return None


def nearest_version(asked: str, available: Iterable[str]) -> str | None:
    """The available version to use for the one that was asked for; None when there is none.

    `3.11` is met by 3.11.2, and `3` by the newest of 3. Otherwise the nearest counts: first by the major number, then
    by the minor one, and of two equally near the newer.
    """
    versions = sorted(available, key=_numbers, reverse=True)
    for version in versions:
        if meets(version, asked):
            return version
    wanted = _numbers(asked)

    def distance(version: str) -> tuple[int, ...]:
        has = _numbers(version)
        length = max(len(has), len(wanted))
        padded = zip(_pad(has, length), _pad(wanted, length), strict=True)
        return tuple(abs(one - other) for one, other in padded)

    return min(versions, key=distance, default=None)


def meets(version: str, asked: str) -> bool:
    """As far as both of them say: hosts mostly tell `3.11` where 3.11.2 is asked for."""
    return all(has == wanted for has, wanted in zip(_numbers(version), _numbers(asked), strict=False))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number[:9]) for number in re.findall(r"\d+", version))[:4]


def _pad(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))


def _problem(place: Place, key: str, message: str, allowed: str = "") -> Problem:
    return Problem(place.file, place.line, key, message, allowed)


def _language(
    manifest: Manifest, app: App, languages: Versions, errors: list[Problem], warnings: list[Problem]
) -> None:
    place = manifest.place("app", app.name, ["type"])
    found = nearest_version(app.version, languages.get(app.language, ()))
    if found is None:
        have = listed(f"{name}:{version}" for name, versions in languages.items() for version in versions)
        errors.append(_problem(place, "type", f"{app.language} is not installed on this host.", have or "none"))
    elif not meets(found, app.version):
        message = f"{app.type} is not installed on this host. {app.language}:{found}, the nearest, is used instead."
        warnings.append(_problem(place, "type", message))


def _engine(
    manifest: Manifest, service: Service, engines: Versions, errors: list[Problem], warnings: list[Problem]
) -> None:
    place, key = manifest.place("service", service.name, ["type"]), f"{service.name}.type"
    found = placement(service, engines)
    if found is None:
        have = listed(f"{name}:{version}" for name, versions in engines.items() for version in versions)
        reason = _NO_SERVER.get(service.engine, "")
        message = f"Services of type {service.type_name} cannot be run here{reason}."
        errors.append(_problem(place, key, message, have or "none"))
        return
    engine, version = found
    if engine != service.engine or not meets(version, service.version):
        message = f"{service.type} is not installed on this host. {engine}:{version}, the nearest, is used instead."
        warnings.append(_problem(place, key, message))


def _app_warnings(manifest: Manifest, app: App) -> Iterable[Problem]:
    dumped = app.model_dump(include={"firewall", "resources", "preflight", "runtime", "web", "build", "operations"})
    for key, reason in _APP_KEYS.items():
        if _given(dumped, key):
            place = manifest.place("app", app.name, key.split("."))
            yield _problem(place, key, f"This has no effect: {reason}.")
    if app.size != "AUTO":
        yield _problem(manifest.place("app", app.name, ["size"]), "size", f"This has no effect: {_SIZE}.")
    yield from _socket_warnings(manifest, app)
    for name, worker in app.workers.items():
        path = ["workers", name, "size"]
        place = manifest.place("app", app.name, path)
        if worker.size not in ("AUTO", app.size):
            yield _problem(place, ".".join(path), f"This has no effect: {_SIZE}.")
        if worker.commands.post_start:
            path = ["workers", name, "commands", "post_start"]
            message = "This has no effect: it is run for web programs only."
            yield _problem(manifest.place("app", app.name, path), ".".join(path), message)
    if app.source_operations:
        path = ["source", "operations"]
        message = "This has no effect: source operations cannot be started here yet."
        yield _problem(manifest.place("app", app.name, path), ".".join(path), message)


def _socket_warnings(manifest: Manifest, app: App) -> Iterable[Problem]:
    """An app that listens on a Unix socket can be reached by the web server beside it only."""
    unreachable = {other.name for other in manifest.apps if other.upstream.socket_family != "tcp"}
    parts: list[tuple[list[str], Mapping[str, Relationship]]] = [([], app.relationships)]
    own = [(name, worker.relationships) for name, worker in app.workers.items()]
    parts += [(["workers", name], theirs) for name, theirs in own if theirs != app.relationships]
    for path, relationships in parts:
        for name, relationship in relationships.items():
            if relationship.service in unreachable - set(manifest.services):
                keys = [*path, "relationships", name]
                what = f"the app {quoted(relationship.service)} listens on a Unix socket, which no other app sees"
                yield _problem(manifest.place("app", app.name, keys), ".".join(keys), f"This is left out: {what}.")


def _service_warnings(manifest: Manifest, service: Service) -> Iterable[Problem]:
    asked = {"size": service.size != "AUTO", "resources": service.resources, "firewall": service.firewall}
    for key, value in asked.items():
        if value:
            place = manifest.place("service", service.name, [key])
            reason = _FIREWALL if key == "firewall" else _SIZE
            yield _problem(place, f"{service.name}.{key}", f"This has no effect: {reason}.")


def _route_warnings(manifest: Manifest) -> Iterable[Problem]:
    for route in manifest.routes:
        dumped = route.model_dump(include={"tls", "sticky", "ssi"})
        for key, reason in _ROUTE_KEYS.items():
            if _given(dumped, key):
                place = manifest.place("route", route.url, key.split("."))
                yield _problem(place, f"{route.url}.{key}", f"This has no effect: {reason}.")
        if route.type == "proxy":
            message = "Requests are not passed on to other hosts here: this route answers with an error."
            yield _problem(manifest.place("route", route.url, ["type"]), f"{route.url}.type", message)
        if route.cache.enabled and "cache" in manifest.sources.get(("route", route.url), ()):
            message = "This has no effect: answers are not cached here, every request reaches the app."
            yield _problem(manifest.place("route", route.url, ["cache"]), f"{route.url}.cache", message)
        if "://*." in route.url:
            message = f"Only hosts that are named in full are served here: {quoted(route.url)} is left out."
            yield _problem(manifest.place("route", route.url), route.url, message)


def _given(dumped: object, key: str) -> bool:
    """Whether a dotted key asks for something. A switch that is off asks for nothing."""
    for step in key.split("."):
        dumped = dumped.get(step) if isinstance(dumped, dict) else None
    if isinstance(dumped, dict) and "enabled" in dumped:
        return bool(dumped["enabled"])
    return bool(dumped)
