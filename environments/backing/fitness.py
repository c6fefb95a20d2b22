"""What keeps a manifest from running on a host, and what will run there otherwise than asked: languages, services, and
what the engines say to the services' configuration."""

from collections.abc import Iterable

from environments.backing import ENGINES
from environments.manifest import Manifest, Problem, Service
from environments.manifest.support import placement, unsupported
from environments.runtimes.base import Runtime
from portal.errors import Invalid


def examine(manifest: Manifest, runtime: Runtime) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings, each with its file, line and key."""
    engines = runtime.engines()
    errors, warnings = unsupported(manifest, engines, runtime.languages())
    for service in manifest.services.values():
        found = placement(service, engines)
        if found is None:
            continue  # said above
        try:
            warnings += _warnings(manifest, service, found[0])
        except Invalid as error:
            errors.append(_problem(manifest, service, error.field or "", error.message))
    return errors, warnings


def _warnings(manifest: Manifest, service: Service, engine: str) -> Iterable[Problem]:
    knows = next(each for each in ENGINES if engine in each.types)
    return [_problem(manifest, service, "", text) for text in knows.check(service.configuration)]


def _problem(manifest: Manifest, service: Service, field: str, message: str) -> Problem:
    """`field` is a dotted key below `configuration`."""
    keys = ["configuration", *field.split(".")] if field else ["configuration"]
    place = manifest.place("service", service.name, keys)
    return Problem(place.file, place.line, ".".join([service.name, *keys]), message)
