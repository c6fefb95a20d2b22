"""Deleting an inactive environment with its branch. Its activities stay, without it."""

from django.conf import settings

from deployments import live, state
from deployments.models import Activity, Backup
from deployments.pipeline import taking
from deployments.pipeline.context import Context, Part, Procedure
from deployments.pipeline.deactivate import remove_all
from environments import repositories
from environments.models import Environment
from environments.runtimes.base import Runtime


def _parts(context: Context) -> list[Part]:
    return [
        Part("remove", "Remove what is left of it", _remove),
        Part("branch", "Delete the branch", _branch, cancellable=False),
        Part("row", "Delete the environment", _delete, cancellable=False),
    ]


def _remove(context: Context) -> str | None:
    if context.activity.environment is not None:
        remove_all(context.environment, context.runtime)
        for backup in Backup.objects.filter(environment=context.environment):
            taking.drop(backup)
            context.log.line(f"The backup of {backup.created_at:%-d %B %Y, %H:%M} UTC is removed")
    return None


def _branch(context: Context) -> str | None:
    asked = context.activity.parameters
    branch = asked["branch"]
    # Only as it was when that was asked: what somebody pushed meanwhile is not lost.
    repositories.delete_branch(settings.HOME.repository(context.project.pk), branch, asked.get("commit", ""))
    context.log.line(f"The branch {branch} is deleted")
    return None


def _delete(context: Context) -> str | None:
    title = context.activity.parameters["title"]
    with state.fenced(context.activity):
        Environment.objects.filter(activities=context.activity).delete()
    context.activity.environment = None
    live.publish(f"project:{context.project.pk}", "environment")
    context.outcome = f"{title} and its branch are deleted."
    return None


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    deleting = Environment.objects.filter(activities=activity, status=Environment.Status.DELETING)
    deleting.update(status=Environment.Status.INACTIVE)


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
