"""A backup: copy at one instant, store, prove. What is stored stays, also when it cannot be proven: it says so."""

from django.conf import settings

from deployments.models import Activity, Backup
from deployments.pipeline import specs, taking
from deployments.pipeline.context import Context, Part, Procedure
from deployments.pipeline.failures import Failure
from deployments.pipeline.taking import Taking
from environments.runtimes.base import Runtime

_KEPT = (Backup.State.STORED, Backup.State.REMOVING)


def _parts(context: Context) -> list[Part]:
    proving = Part("prove", "Prove it by restoring it", _prove)
    if context.activity.parameters.get("prove"):
        return [proving]
    return [
        Part("copy", "Copy the data of one instant", _copy),
        Part("store", "Compress and store", _store),
        proving,
    ]


def _taking(context: Context) -> Taking:
    return Taking(context, context.activity.parameters.get("reason") or Backup.Reason.ASKED)


def _copy(context: Context) -> str | None:
    context.heading(f"Backing up {context.environment.title}")
    return context.keep(_taking).copy()


def _store(context: Context) -> str | None:
    context.keep(_taking).store()
    return None


def _prove(context: Context) -> str | None:
    asked = context.activity.parameters.get("prove")
    wanted = {"pk": asked, "environment": context.environment} if asked else {"activity": context.activity}
    backup = Backup.objects.stored().filter(**wanted).first()
    if backup is None:
        raise Failure("backup-gone", "The backup is gone.")
    context.heading("Restoring it into throw-away services, and counting")
    note = taking.prove(context, backup)
    context.outcome = f"Backed up and proven: {backup.proof_note}."
    return note


def _resumes(activity: Activity) -> bool:
    """What is stored can be proven by another worker; a copy of another instant would be another backup."""
    if activity.parameters.get("prove"):
        return True
    return Backup.objects.filter(activity=activity, state__in=_KEPT).exists()


def undo(activity: Activity, runtime: Runtime) -> None:
    if activity.environment is not None:
        runtime.release_held(specs.place_of(activity.environment))
    taking.discard(runtime, settings.HOME.snapshot(activity.pk))
    for backup in Backup.objects.filter(activity=activity, state=Backup.State.MAKING):
        taking.drop(backup)


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=undo)
