"""From the database and a commit to what the runtime is given. The same rows give the same specification each time, so
that whoever takes a deployment over, restarts a release or opens a shell in it works with what was put live."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from deployments.models import Release
from environments import repositories, routing, runtimes, variables
from environments.actions import hosts
from environments.backing import engine_for
from environments.manifest import App, Manifest, Relationship, Worker, load
from environments.models import Environment, Service
from environments.routing import ResolvedRoute
from environments.runtimes.base import Place, ProgramSpec, ReleaseSpec, ServiceSpec
from environments.variables import Variable
from portal.crypto import decrypt
from portal.enums import EnvironmentType


def place_of(environment: Environment) -> Place:
    return Place(environment.project_id, environment.machine_name, environment.pk)


def manifest_of(project_id: str, commit: str) -> Manifest:
    """Raises ManifestError."""
    with repositories.TreeSource(settings.HOME.repository(project_id), commit) as source:
        return load(source)


def routes_of(environment: Environment, manifest: Manifest) -> tuple[ResolvedRoute, ...]:
    """Raises ManifestError for routes that cannot be served."""
    return routing.resolve(
        manifest,
        default_host=environment.host,
        domains=hosts.domain_names(environment),
        production=environment.environment_type is EnvironmentType.PRODUCTION,
        scheme=settings.PUBLIC_SCHEME,
        port=settings.PUBLIC_PORT,
    )


def hosts_of(environment: Environment, routes: Sequence[ResolvedRoute]) -> list[str]:
    """Every host that the edge is to serve, the environment's own one first; only such as are named in full."""
    named = [route.host for route in routes if not route.wildcard]
    more = [alias for each in routing.aliases(routes, environment.host).values() for alias in each]
    more = [alias for alias in more if not alias.startswith("*.")]
    found = list(dict.fromkeys([environment.host, *named, *more]))
    return hosts.reachable(environment, found, hosts.domain_names(environment))


def _smtp_host(environment: Environment) -> str:
    address, port = runtimes.get().mail(place_of(environment))
    return address if port == 25 else f"{address}:{port}"


def _own_hosts(environment: Environment, routes: Sequence[ResolvedRoute]) -> dict[str, str]:
    """Names below localhost are in no DNS: an app that calls its own URL finds them here. See deployments.inside."""
    local = [host for host in hosts_of(environment, routes) if host.endswith(".localhost")]
    return dict.fromkeys(local, "127.0.0.1")


def service_spec(service: Service) -> ServiceSpec:
    return ServiceSpec(
        place=place_of(service.environment),
        name=service.name,
        engine=service.engine,
        version=service.version,
        asked=service.asked,
        address=str(service.address),
        port=service.port,
        secrets=json.loads(decrypt(service.secret)),
        configuration=service.configuration,
    )


def service_specs(environment: Environment) -> dict[str, ServiceSpec]:
    """By name."""
    return {
        service.name: service_spec(service)
        for service in Service.objects.select_related("environment").filter(environment=environment)
    }


def variables_of(release: Release) -> list[Variable]:
    """Those that were pinned to it when it was made, whatever was changed since."""
    return release.variable_set.variables if release.variable_set else []


def sensitive(found: Iterable[Variable]) -> Iterator[str]:
    """What must not be shown of their values."""
    for variable in found:
        if variable.is_sensitive and variable.is_enabled:
            yield from texts_in(variable.value)
            if not isinstance(variable.value, str):
                yield json.dumps(variable.value, ensure_ascii=False)


def texts_in(value: Any) -> Iterator[str]:
    """Every text anywhere in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from texts_in(entry)
    elif isinstance(value, Sequence):
        for entry in value:
            yield from texts_in(entry)


def release_spec(release: Release, manifest: Manifest | None = None) -> ReleaseSpec:
    """What the release runs as. `manifest` is read from its commit unless it is given. Raises ManifestError."""
    environment = release.environment
    manifest = manifest or manifest_of(environment.project_id, release.commit)
    making = _Making(
        release, manifest, routes_of(environment, manifest), service_specs(environment), variables_of(release)
    )
    return ReleaseSpec(
        place=place_of(environment),
        number=release.number,
        programs=list(making.programs()),
        routes=making.routes,
        hosts=_own_hosts(environment, making.routes),
        public=environment.is_public,
        portal_url=settings.PUBLIC_URL,
        aliases=routing.aliases(making.routes, environment.host),
    )


@dataclass(frozen=True)
class _Making:
    release: Release
    manifest: Manifest
    routes: tuple[ResolvedRoute, ...]
    services: Mapping[str, ServiceSpec]
    variables: Sequence[Variable]

    def programs(self) -> Iterator[ProgramSpec]:
        for app in self.manifest.apps:
            yield self._program(app, None)
            for worker in app.workers.values():
                yield self._program(app, worker)

    def _program(self, app: App, worker: Worker | None) -> ProgramSpec:
        release, environment = self.release, self.release.environment
        slug_id = release.slugs[app.name]
        port = None if worker else release.ports.get(app.name)
        relationships = self._relationships(worker.relationships if worker else app.relationships)
        return ProgramSpec(
            name=worker.full_name if worker else app.name,
            app=variables.with_php(app, [each for each in self.variables if each.visible_runtime]),
            worker=worker,
            slug=settings.HOME.slug(environment.project_id, slug_id),
            env=variables.run_environment(
                project=environment.project,
                environment=environment,
                app=app,
                worker=worker,
                tree_id=slug_id.rsplit("-", 2)[1],  # see environments.slugs
                relationships=relationships,
                routes=self.routes,
                variables=self.variables,
                port=port,
                smtp_host=_smtp_host(environment),
                flavour=self.manifest.flavour,
            ),
            port=port,
            hosts={f"{name}.internal": str(entries[0]["ip"]) for name, entries in relationships.items()},
        )

    def _relationships(self, asked: Mapping[str, Relationship]) -> dict[str, list[dict[str, Any]]]:
        found = {}
        for name, relationship in asked.items():
            entry = self._entry(name, relationship)
            if entry is not None:
                found[name] = [entry]
        return found

    def _entry(self, name: str, relationship: Relationship) -> dict[str, Any] | None:
        spec = self.services.get(relationship.service)
        if spec is not None:
            return engine_for(spec.engine).relationship(spec, name, relationship.endpoint)
        port = self.release.ports.get(relationship.service)
        if port is None:  # an app that listens on a socket, which no other sandbox sees
            return None
        environment = self.release.environment
        return variables.app_entry(
            relationship=name,
            app=self.manifest.app(relationship.service),
            endpoint=relationship.endpoint,
            address="127.0.0.1",
            port=port,
            cluster=f"{environment.project_id}-{environment.machine_name}",
        )
