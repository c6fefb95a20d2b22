"""Stopping what runs of an environment until somebody comes. Its hosts lead to the portal first, which wakes it."""

from django.db.models.functions import Now

from deployments import live, state
from deployments.enums import Kind, StepState
from deployments.models import Activity, Release
from deployments.pipeline import idling, specs
from deployments.pipeline.context import Context, Part, Procedure
from environments import edge
from environments.models import Environment, Host
from environments.runtimes.base import Runtime


def _parts(context: Context) -> list[Part]:
    parts = [Part("edge", "Let the portal answer", _park)]
    if context.activity.steps.exclude(state=StepState.PENDING).exists() and not context.environment.is_paused:
        return parts  # it stays awake
    return [
        *parts,
        Part("programs", "Stop its programs", _stop_programs, cancellable=False),
        Part("services", "Stop its services", _stop_services, cancellable=False),
    ]


def _park(context: Context) -> str | None:
    environment = context.environment
    if context.activity.parameters.get("because") == "idle" and not idling.is_still_due(environment, context.runtime):
        context.outcome = f"{environment.title} was used meanwhile: it stays awake."
        return "in use"
    hosts = list(Host.objects.filter(environment=environment).values_list("name", flat=True))
    with state.fenced(context.activity):
        Environment.objects.filter(pk=environment.pk).update(paused_at=Now())
        edge.park(hosts)
    _changed(context)
    context.log.line("From now on the first visitor wakes it")
    return None


def _stop_programs(context: Context) -> str | None:
    environment = context.environment
    if _somebody_waits(environment) and (release := _running(context)) is not None:
        with state.fenced(context.activity):
            Environment.objects.filter(pk=environment.pk).update(paused_at=None)
            spec = specs.release_spec(release)
            edge.switch(specs.hosts_of(environment, spec.routes), context.runtime.front(spec))
        _changed(context)
        context.outcome = f"Somebody came to {environment.title} meanwhile: it stays awake."
        return "not stopped"
    stop_programs(environment, context.runtime)
    context.log.line("Its programs, workers and crons are stopped")
    return None


def _stop_services(context: Context) -> str | None:
    stop_services(context.environment, context.runtime)
    context.log.line("Its services are stopped; their data stays")
    context.outcome = f"{context.environment.title} is paused. The first visitor wakes it."
    return None


def stop_all(environment: Environment, runtime: Runtime) -> None:
    """Stop whatever runs of a paused environment. Safe to repeat."""
    stop_programs(environment, runtime)
    stop_services(environment, runtime)


def stop_programs(environment: Environment, runtime: Runtime) -> None:
    place = specs.place_of(environment)
    for number in runtime.releases(place):
        runtime.stop(place, number)


def stop_services(environment: Environment, runtime: Runtime) -> None:
    for service in specs.service_specs(environment).values():
        runtime.stop_service(service)


def _somebody_waits(environment: Environment) -> bool:
    return Activity.objects.open().filter(environment=environment, kind=Kind.RESUME).exists()


def _running(context: Context) -> Release | None:
    """The live release, when all of it still runs."""
    release = Release.objects.filter(environment=context.environment, state=Release.State.LIVE).first()
    return release if release is not None and context.runtime.healthy(specs.release_spec(release)) else None


def _changed(context: Context) -> None:
    context.environment.refresh_from_db()
    live.publish(f"project:{context.project.pk}", "environment")


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    """Nothing: once the portal answers, the reconciler stops what is left; before that nothing was done."""


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
