"""Puts the configuration files of one commit together."""

import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import checks
from .apps import App, AppSpec, put_together
from .catalog import APP_ENDPOINTS
from .checks import Known, Spot
from .discovery import Files, discover
from .documents import Map, Reader, Seq
from .model import Manifest
from .problems import ManifestError, Place, Problem, Problems, did_you_mean, listed, quoted, shown
from .routes import Route, normal_url
from .schema import entries, read
from .services import Service
from .source import MAX_FILES, Source
from .values import describe

_MAX_ROUTES = 500
_MAX_SERVICES = 200


def load(source: Source) -> Manifest:
    """The configuration of a tree. Raises ManifestError with all problems that could be found at once."""
    return _Loader(source).load()


class _Written(NamedTuple):
    """An app as found: `spec` is None when it cannot be read. `prefix` leads to it in an applications.yaml."""

    spec: AppSpec | None
    data: Map
    file: str
    folder: str
    prefix: tuple[str | int, ...]


class _Loader:
    def __init__(self, source: Source) -> None:
        self._files: Files = discover(source.files())
        self._reader = Reader(source)
        self._problems = Problems()
        self._warnings = Problems()
        self._sources: dict[tuple[str, str], Map] = {}
        self._complete = True  # false when names of apps or services may be missing, because a file cannot be read

    def load(self) -> Manifest:
        written = [*self._app_files(), *self._applications()]
        names = self._app_names(written)
        services = self._services()
        known = Known(names, services, self._complete)
        self._check_services(services, names, known)
        apps = [app for entry in written if (app := self._app(entry, known)) is not None]
        routes = self._routes(known, apps)
        self._warn_of_ignored()
        if self._problems:
            raise ManifestError(self._problems.all())
        found = {name: service for name, service in services.items() if service is not None}
        return Manifest(self._files.flavour, tuple(apps), found, routes, self._warnings.all(), self._sources)

    # -- reading ----------------------------------------------------------------------------------------------------

    def _document(self, path: str | None) -> tuple[Any, bool]:
        """The content of a file, and whether it could be read. The content is None when there is none."""
        if path is None:
            return None, True
        try:
            return self._reader.read(path), True
        except ManifestError as error:
            self._complete = False
            self._problems.extend(error.problems)
            return None, False

    def _app_files(self) -> Iterator[_Written]:
        for path in self._files.apps:
            data, readable = self._document(path)
            if data is not None:
                yield from self._written(data, path, posixpath.dirname(path), (), Place(path, 1))
            elif readable:
                self._complete = False
                self._problems.add(Place(path, None), "", "The file is empty.", 'at least "name" and "type"')

    def _applications(self) -> Iterator[_Written]:
        path = self._files.applications
        data, readable = self._document(path)
        if path is None:
            return
        place = Place(path, 1)
        if isinstance(data, Map | Seq) and len(data) > MAX_FILES:
            self._complete = False
            self._problems.add(place, "", "There are too many apps.", f"up to {MAX_FILES}")
        elif isinstance(data, Seq):
            for index, entry in enumerate(data):
                yield from self._written(entry, path, "", (index,), data.places[index])
        elif isinstance(data, Map):
            for name, entry, where in entries(data, (), self._problems, place):
                yield from self._written(_with_name(entry, name), path, "", (name,), where)
        elif data is not None:
            self._problems.add(
                place, "", f"It must be a list of apps, or a mapping of names to apps, not {describe(data)}."
            )
        elif readable and not self._files.apps:
            self._problems.add(place, "", "The file is empty.", "a list of apps, or a mapping of names to apps")

    def _written(
        self, data: Any, file: str, folder: str, prefix: tuple[str | int, ...], place: Place
    ) -> Iterator[_Written]:
        spec = read(AppSpec, data, prefix, self._problems, place)
        if isinstance(data, Map):
            yield _Written(spec, data, file, folder, prefix)
        else:
            self._complete = False

    def _app_names(self, written: list[_Written]) -> list[str]:
        first: dict[str, Place] = {}
        for entry in written:
            name = entry.data.get("name")
            if not isinstance(name, str):
                self._complete = False
                continue
            place = entry.data.places.get("name", entry.data.place)
            if name in first:
                other = f"{shown(first[name].file)}:{first[name].line}"
                message = f"The name {quoted(name)} is taken by another app, in {other}."
                self._problems.add(place, "name", message, "a name of its own for each app")
            first.setdefault(name, place)
            self._sources[("app", name)] = entry.data
        return list(first)

    def _services(self) -> dict[str, Service | None]:
        path = self._files.services
        found: dict[str, Service | None] = {}
        if path is None:
            return found
        for name, data, place in entries(self._document(path)[0], (), self._problems, Place(path, 1)):
            if len(found) >= _MAX_SERVICES:
                self._problems.add(place, shown(name), "There are too many services.", f"up to {_MAX_SERVICES}")
                break
            service = read(Service, data, (name,), self._problems, place)
            found[name] = None if service is None else service.changed(name=name)
            if not checks.is_service_name(name):
                message = f"{quoted(name)} cannot be the name of a service."
                self._problems.add(place, shown(name), message, "lower-case letters, digits, - and _, up to 63")
            if isinstance(data, Map) and "name" in data:
                self._problems.add(data.places["name"], f"{shown(name)}.name", "The name of a service is its key.")
            if isinstance(data, Map):
                self._sources[("service", name)] = data
        return found

    # -- checking ---------------------------------------------------------------------------------------------------

    def _check_services(self, services: Mapping[str, Service | None], apps: list[str], known: Known) -> None:
        for name, service in services.items():
            data = self._sources.get(("service", name))
            if data is None:
                continue
            if name in apps:
                message = f"There is an app {quoted(name)} too. Apps and services need different names."
                self._problems.add(data.place, shown(name), message)
            if service is None:
                continue
            checks.configuration(service, data, self._problems)
            checks.smallest_disk(service, data, self._problems)
            if self._complete:
                checks.relationships(
                    service.relationships, known, Spot(data, self._problems, (name,), ("relationships",))
                )

    def _app(self, written: _Written, known: Known) -> App | None:
        spec = written.spec
        if spec is None:
            return None
        spot = Spot(written.data, self._problems, written.prefix)
        checks.mounts(spec.mounts, spec.disk, known, spot.at("mounts"))
        resolved = checks.relationships(spec.relationships, known, spot.at("relationships"))
        of_workers = {}
        for name, worker in spec.workers.items():
            here = spot.at("workers", name)
            checks.mounts(worker.mounts or {}, worker.disk or spec.disk, known, here.at("mounts"))
            if worker.relationships is not None:
                of_workers[name] = checks.relationships(worker.relationships, known, here.at("relationships"))
        checks.app_warnings(spec, Spot(written.data, self._warnings, written.prefix))
        return put_together(
            spec,
            config_file=written.file,
            folder=written.folder,
            relationships=resolved,
            worker_relationships=of_workers,
        )

    def _routes(self, known: Known, apps: list[App]) -> tuple[Route, ...]:
        path = self._files.routes
        document, _ = self._document(path)
        if path is None or document is None:
            return self._default_route(apps)
        found: dict[str, Route] = {}
        places: dict[str, Place] = {}
        for key, data, place in entries(document, (), self._problems, Place(path, 1)):
            if len(places) >= _MAX_ROUTES:
                self._problems.add(place, shown(key), "There are too many routes.", f"up to {_MAX_ROUTES}")
                break
            url = self._url(key, place, places)
            route = read(Route, data, (key,), self._problems, place)
            if url is not None and route is not None and isinstance(data, Map):
                self._sources[("route", url)] = data
                found[url] = route.changed(url=url)
                self._check_route(found[url], data, key, known)
        self._check_primary(found)
        return tuple(found.values()) or self._default_route(apps)

    def _url(self, key: str, place: Place, places: dict[str, Place]) -> str | None:
        allowed = 'a URL such as "https://{default}/", "https://www.{default}/api/" or "https://example.com/"'
        try:
            url = normal_url(key)
        except ValueError as error:
            self._problems.add(place, shown(key), f"This route cannot be used: {error}.", allowed)
            return None
        if url in places:
            self._problems.add(place, shown(key), f"This route is given twice, first on line {places[url].line}.")
            return None
        places[url] = place
        return url

    def _check_route(self, route: Route, data: Map, key: str, known: Known) -> None:
        spot = Spot(data, self._problems, (key,))
        if "url" in data:
            spot.at("url").add("The URL of a route is its key.")
        if route.type != "upstream":
            return
        name, endpoint = route.upstream_name or "", route.upstream_endpoint
        service = known.services.get(name)
        if name in known.apps:
            if endpoint not in APP_ENDPOINTS:
                spot.at("upstream").add(f"The app {quoted(name)} has no endpoint {quoted(endpoint)}.", "http")
        elif service is not None:
            served = [name for name, kind in service.endpoints().items() if kind.scheme == "http"]
            if endpoint not in served:
                message = f"The service {quoted(name)} serves no endpoint {quoted(endpoint)}."
                spot.at("upstream").add(message, listed(served) or "an app")
        elif name not in known.services and known.complete:
            message = f"There is no app {quoted(name)}.{did_you_mean(name, known.apps)}"
            spot.at("upstream").add(message, listed(f"{app}:http" for app in known.apps))

    def _check_primary(self, routes: dict[str, Route]) -> None:
        primaries = [url for url, route in routes.items() if route.primary]
        for url in primaries[1:]:
            message = f"There is a primary route already: {shown(primaries[0])}. Only one can be."
            Spot(self._sources[("route", url)], self._problems, (url,), ("primary",)).add(message)
        seen: dict[str, str] = {}
        for url, route in routes.items():
            if route.id and seen.setdefault(route.id, url) != url:
                message = f"The id {quoted(route.id)} is taken by the route {shown(seen[route.id])}."
                Spot(self._sources[("route", url)], self._problems, (url,), ("id",)).add(message)

    def _default_route(self, apps: list[App]) -> tuple[Route, ...]:
        """All of the default host to the app; with several apps, to the first one, which is the nearest to the root."""
        if not apps:
            return ()
        route = Route(url="https://{default}/", type="upstream", upstream=f"{apps[0].name}:http")
        if len(apps) > 1:
            file = f"{self._files.folder}/routes.yaml"
            message = f"There are several apps but no routes: all requests go to {quoted(apps[0].name)}."
            self._warnings.extend([Problem(file, None, "", message)])
        return (route,)

    def _warn_of_ignored(self) -> None:
        for path in self._files.ignored:
            other = "Magento Cloud" if self._files.flavour == "magento" else "Platform.sh"
            message = f"This file is not used: the repository is set up with the file names of {other}."
            self._warnings.extend([Problem(path, None, "", message)])


def _with_name(entry: Any, name: str) -> Any:
    """In the mapping form of applications.yaml the key is the name."""
    if not isinstance(entry, Map) or "name" in entry:
        return entry
    named = Map({"name": name, **entry})
    named.place, named.places = entry.place, {"name": entry.place, **entry.places}
    return named
