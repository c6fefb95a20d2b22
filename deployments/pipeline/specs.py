"""From the database and a commit to what the runtime is given. The same rows give the same specification each time, so
that whoever takes a deployment over, restarts a release or opens a shell in it works with what was put live."""

import json
from collections.abc import Mapping, Sequence

from django.conf import settings

from deployments.models import Release
from environments import repositories, routing, variables
from environments.backing import engine_for
from environments.manifest import App, Manifest, Worker, load
from environments.models import Environment, Service
from environments.routing import ResolvedRoute
from environments.runtimes.base import Place, ProgramSpec, ReleaseSpec, ServiceSpec
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
        production=environment.environment_type is EnvironmentType.PRODUCTION,
        scheme=settings.PUBLIC_SCHEME,
        port=settings.PUBLIC_PORT,
    )


def hosts_of(environment: Environment, routes: Sequence[ResolvedRoute]) -> list[str]:
    """Every host that the edge is to serve, the environment's own one first; only such as are named in full."""
    return list(dict.fromkeys([environment.host, *(route.host for route in routes if not route.wildcard)]))


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


def release_spec(release: Release, manifest: Manifest | None = None) -> ReleaseSpec:
    """What the release runs as. `manifest` is read from its commit unless it is given. Raises ManifestError."""
    environment = release.environment
    manifest = manifest or manifest_of(environment.project_id, release.commit)
    services = service_specs(environment)
    routes = routes_of(environment, manifest)
    programs: list[ProgramSpec] = []
    for app in manifest.apps:
        if app.name in release.slugs:
            programs.append(_program(release, manifest, routes, services, app, None))
            programs += [_program(release, manifest, routes, services, app, each) for each in app.workers.values()]
    return ReleaseSpec(
        place=place_of(environment),
        number=release.number,
        programs=programs,
        routes=routes,
        hosts=_addresses(manifest, services),
        public=environment.environment_type is EnvironmentType.PRODUCTION,
        portal_url=settings.PUBLIC_URL,
    )
