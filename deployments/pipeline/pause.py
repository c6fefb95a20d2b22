"""Stopping what runs of an environment until somebody comes. Its hosts lead to the portal first, which wakes it.

Crons that run are waited for before that, as a deployment does: meanwhile the site still answers by itself.
"""

from django.db.models.functions import Now

from deployments import live, state
from deployments.enums import Kind, StepState
from deployments.models import Activity, Release
from deployments.pipeline import idling, quieting, specs
from deployments.pipeline.context import Context, Part, Procedure
from environments import edge
from environments.models import Environment, Host
from environments.runtimes.base import Runtime


def _parts(context: Context) -> list[Part]:
    release = _live(context.environment)
    crons = release is not None and any(True for _ in quieting.crons_of(release.configuration))
    parts = [
        *([Part("crons", "Pause crons", _quiet)] if crons else []),
        Part("edge", "Let the portal answer", _park),
    ]
    begun = context.activity.steps.filter(name="edge").exclude(state=StepState.PENDING).exists()
    if begun and not context.environment.is_paused:
        return parts  # it stays awake
    return [
        *parts,
        Part("programs", "Stop its programs", _stop_programs, cancellable=False),
        Part("services", "Stop its services", _stop_services, cancellable=False),
    ]


def _quiet(context: Context) -> str | None:
    return quieting.quiet(context, "Its environment was to be paused")


def _park(context: Context) -> str | None:
    environment = context.environment
    if context.activity.parameters.get("because") == "idle" and not idling.is_still_due(environment, context.runtime):
        quieting.wake(environment, context.runtime)
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
        quieting.wake(environment, context.runtime)
        _changed(context)
        context.outcome = f"Somebody came to {environment.title} meanwhile: it stays awake."
        return "not stopped"
    stop_programs(environment, context.runtime)
    quieting.wake(environment, context.runtime)  # nothing is left that could begin one, until it is woken
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
    release = _live(context.environment)
    return release if release is not None and context.runtime.healthy(specs.release_spec(release)) else None


def _live(environment: Environment) -> Release | None:
    return Release.objects.filter(environment=environment, state=Release.State.LIVE).first()


def _changed(context: Context) -> None:
    context.environment.refresh_from_db()
    live.publish(f"project:{context.project.pk}", "environment")


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    """Once the portal answers, the reconciler stops what is left; before that only crons were told to wait."""
    if activity.environment is not None:
        quieting.wake(activity.environment, runtime)


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
