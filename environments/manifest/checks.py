"""What has to fit together: names across files, and parts of one app that one model cannot see."""

import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from . import schedule
from .apps import AppSpec
from .catalog import APP_ENDPOINTS
from .configurations import CONFIGURATIONS
from .cron import resolve, shortest_gap
from .documents import Map, locate
from .parts import MountSpec, Relationship, RelationshipSpec
from .problems import Problems, did_you_mean, listed, quoted
from .schema import dotted, read
from .services import Service
from .values import beneath

_SERVICE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\Z")
_MIN_GAP = 5  # minutes between two runs of a cron


@dataclass(frozen=True)
class Spot:
    """Somewhere in the data of one app or service. `prefix` is shown before the path in an applications.yaml."""

    data: Map
    problems: Problems
    prefix: tuple[str | int, ...] = ()
    path: tuple[str | int, ...] = ()

    def at(self, *steps: str | int) -> "Spot":
        return replace(self, path=(*self.path, *steps))

    def add(self, message: str, allowed: str = "") -> None:
        place = locate(self.data, self.path).place
        self.problems.add(place, dotted([*self.prefix, *self.path]), message, allowed)


class Known:
    """Every app and service of the repository. One that could not be read is known by name only (None).

    `complete` is false when a file cannot be read: then a name that is not known may be in it.
    """

    def __init__(self, apps: Collection[str], services: Mapping[str, Service | None], complete: bool) -> None:
        self.apps = apps
        self.services = services
        self.complete = complete

    def names(self) -> list[str]:
        return sorted({*self.apps, *self.services})

    def resolve(self, name: str, spec: RelationshipSpec) -> tuple[Relationship | None, str, str]:
        """The relationship, or None with what is wrong and what is allowed (no words when reported already)."""
        service_name = spec.service or name
        if service_name in self.services:
            return self._to_service(service_name, self.services[service_name], spec.endpoint)
        if service_name in self.apps:
            endpoint = spec.endpoint or "http"
            if endpoint in APP_ENDPOINTS:
                return Relationship(service=service_name, endpoint="http"), "", ""
            return None, f"The app {quoted(service_name)} has no endpoint {quoted(endpoint)}.", "http"
        if not self.complete:
            return None, "", ""
        hint = did_you_mean(service_name, self.names())
        message = f"There is no service or app {quoted(service_name)}.{hint}"
        return None, message, listed(self.names()) or "none is defined"

    @staticmethod
    def _to_service(name: str, service: Service | None, endpoint: str | None) -> tuple[Relationship | None, str, str]:
        if service is None:
            return None, "", ""
        endpoints = service.endpoints()
        chosen = endpoint or service.default_endpoint()
        if chosen in endpoints:
            return Relationship(service=name, endpoint=chosen), "", ""
        if not endpoints and not service.kind.endpoint:
            return None, f"Nothing connects to {quoted(name)}, a {service.type_name}: use it in a mount.", ""
        if not endpoints:
            return None, f"The service {quoted(name)} configures no endpoints.", "endpoints: in its configuration"
        what = f"no endpoint {quoted(chosen)}" if chosen else "several endpoints: name one"
        return None, f"The service {quoted(name)} has {what}.", listed(endpoints)


def relationships(specs: Mapping[str, RelationshipSpec], known: Known, spot: Spot) -> dict[str, Relationship]:
    resolved: dict[str, Relationship] = {}
    for name, spec in specs.items():
        if spot.problems.full:
            break
        relationship, message, allowed = known.resolve(name, spec)
        if relationship is not None:
            resolved[name] = relationship
        elif message:
            spot.at(name).add(message, allowed)
    return resolved


def mounts(specs: Mapping[str, MountSpec], disk: int | None, known: Known, spot: Spot) -> None:
    """Mounts lie beside each other, below the app, on something that exists."""
    written = _as_written(spot)
    for name, spec in specs.items():
        here = spot.at(written.get(name, name))
        if not name:
            here.add("The whole app cannot be a mount: it is read-only.", "a folder below the app")
        for parent in _parents(name):
            if parent in specs:
                here.add(f"This mount lies inside the mount {quoted(parent)}.", "mounts beside each other")
        if spec.source == "service" or spec.service:
            _service_mount(spec, known, here)
    if disk is None and any(spec.source == "local" for spec in specs.values()):
        spot.add('Local mounts need "disk", the space for them in MB.', "disk: 128 or more")


def _service_mount(spec: MountSpec, known: Known, spot: Spot) -> None:
    storages = [name for name, service in known.services.items() if service and service.engine == "network-storage"]
    allowed = listed(storages) or "a service of type network-storage"
    if not spec.service:
        spot.add('A mount of source "service" needs "service".', allowed)
    elif spec.service not in known.services:
        if known.complete:
            spot.add(f"There is no service {quoted(spec.service)} to mount.", allowed)
    elif (service := known.services[spec.service]) and service.engine != "network-storage":
        message = f"The service {quoted(spec.service)} is a {service.type_name}, which cannot be mounted."
        spot.add(message, allowed)


def _parents(path: str) -> list[str]:
    found = []
    while path := posixpath.dirname(path):
        found.append(path)
    return found


def _as_written(spot: Spot) -> dict[str, str]:
    """The keys as they stand in the file, by their names without slashes. Two for one folder are a problem."""
    mounts = locate(spot.data, spot.path).value
    found: dict[str, str] = {}
    for key in mounts if isinstance(mounts, Map) else ():
        first = found.setdefault(beneath(key), key)
        if first != key:
            spot.at(key).add(f"This is the same folder as the mount {quoted(first)}.")
    return found


def is_service_name(name: str) -> bool:
    return bool(_SERVICE_NAME.match(name))


def configuration(service: Service, data: Map, problems: Problems) -> None:
    """The `configuration` of a service against what its engine understands."""
    model = CONFIGURATIONS.get(service.engine)
    given = data.get("configuration")
    if model is None or (given is None and service.engine != "varnish"):
        return
    place = data.places.get("configuration", data.place)
    if given is None:
        key = f"{service.name}.configuration"
        problems.add(data.place, key, 'Varnish needs "vcl".', "vcl: !include {type: string, path: config.vcl}")
        return
    read(model, given, [service.name, "configuration"], problems, place)


def smallest_disk(service: Service, data: Map, problems: Problems) -> None:
    smallest = service.kind.min_disk
    if service.disk is not None and smallest is not None and service.disk < smallest:
        place = data.places.get("disk", data.place)
        message = f"A {service.type_name} needs at least {smallest} MB of disk."
        problems.add(place, f"{service.name}.disk", message, f"{smallest} or more")


def app_warnings(spec: AppSpec, spot: Spot) -> None:
    """What will run, but may not do what was meant."""
    for name, entry in spec.crons.items():
        gap = shortest_gap(entry.spec)
        if gap < _MIN_GAP:
            often = "every minute" if gap == 1 else f"every {gap} minutes"
            message = f"It runs {often}, as asked. Hosted plans mostly allow no less than {_MIN_GAP} minutes."
            spot.at("crons", name, "spec").add(message)
        if schedule.parse(resolve(entry.spec, "")).never:
            message = "It never runs: none of its months has that day."
            spot.at("crons", name, "spec").add(message)
    passes = any(location.passthru for location in spec.web.locations.values())
    if not spec.type.startswith("php:") and passes and not spec.web.commands.start:
        message = 'Requests are passed on to the app, but there is no "web.commands.start" to start it with.'
        spot.at("web", "commands", "start").add(message)
