"""Stopping an environment and removing its data. Its branch, settings and history stay."""

from django.db.models.functions import Now

from deployments import live, state
from deployments.models import Activity, Backup, Message, Release
from deployments.pipeline.context import Context, Part, Procedure
from deployments.pipeline.failures import Failure
from deployments.pipeline.specs import place_of
from environments import edge
from environments.models import Environment, Host, Service
from environments.runtimes.base import Runtime


def _parts(context: Context) -> list[Part]:
    first = (
        [Part("backup", "See that it is backed up", _backed_up)] if context.activity.parameters.get("backup") else []
    )
    return [
        *first,
        Part("edge", "Take it off the edge", _take_off),
        Part("remove", "Stop it and remove its data", _remove, cancellable=False),
    ]


def _backed_up(context: Context) -> str | None:
    """What was asked for before: without that backup nothing is removed."""
    asked = Backup.objects.stored().filter(activity=context.activity.parameters["backup"]).first()
    if asked is None or asked.proof == Backup.Proof.FAILED:
        raise Failure(
            "backup-missing",
            f"The backup that was to be made first is not there, so nothing of {context.environment.title} is removed. "
            "Its own activity says why.",
        )
    context.log.line(f"It was backed up as {asked.pk}, {asked.proof_note or 'not proven yet'}")
    return None


def _take_off(context: Context) -> str | None:
    environment = context.environment
    hosts = list(Host.objects.filter(environment=environment).values_list("name", flat=True))
    with state.fenced(context.activity):
        Environment.objects.filter(pk=environment.pk).update(status=Environment.Status.INACTIVE, paused_at=None)
        alive = Release.objects.filter(environment=environment, state=Release.State.LIVE)
        alive.update(state=Release.State.RETIRED, retired_at=Now())
        Host.objects.filter(environment=environment).delete()
        edge.remove(hosts)
    environment.refresh_from_db()
    live.publish(f"project:{context.project.pk}", "environment")
    for host in hosts:
        context.log.line(f"{host} answers no more")
    return None


def _remove(context: Context) -> str | None:
    remove_all(context.environment, context.runtime)
    context.log.line("Its processes, services, mounts and logs are removed")
    context.outcome = f"{context.environment.title} is inactive; its data is gone, its branch stays."
    return None


def remove_all(environment: Environment, runtime: Runtime) -> None:
    """Remove whatever the environment has on the runtime. Safe to repeat."""
    runtime.remove(place_of(environment))
    Service.objects.filter(environment=environment).delete()
    Environment.objects.filter(pk=environment.pk).update(data_source="", data_at=None)
    Message.objects.filter(environment=environment).delete()  # their texts went with the environment's folder
    stale = Release.objects.filter(environment=environment, state=Release.State.STARTING)
    stale.update(state=Release.State.FAILED, retired_at=Now())


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    """Nothing: data that is gone does not come back, and asking again removes the rest."""


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
