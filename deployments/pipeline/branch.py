"""A new branch from the parent's head, with its environment; activated when that was asked for."""

from django.conf import settings

from deployments.actions import environments as actions
from deployments.enums import Kind
from deployments.models import Activity
from deployments.pipeline.context import Context, Part, Procedure
from environments import repositories
from environments.models import Environment
from environments.runtimes.base import Runtime
from portal.enums import EnvironmentType


def _parts(context: Context) -> list[Part]:
    parts = [
        Part("branch", "Create the branch", _branch),
        Part("environment", "Create the environment", _environment, cancellable=False),
    ]
    if context.activity.parameters.get("activate"):
        parts.append(Part("activate", "Ask for its activation", _activate, cancellable=False))
    return parts


def _branch(context: Context) -> str | None:
    asked = context.activity.parameters
    repositories.create_branch(settings.HOME.repository(context.project.pk), asked["branch"], asked["commit"])
    context.log.line(
        f"Branch {asked['branch']} begins at {asked['commit'][:7]}, the head of {context.environment.title}"
    )
    return None


def _environment(context: Context) -> str | None:
    asked = context.activity.parameters
    environment = actions.make_row(
        context.project,
        branch=asked["branch"],
        type=EnvironmentType.INTEGRATION,
        parent=context.environment,
        commit=asked["commit"],
        by=context.activity.actor,
        title=asked["title"],
    )
    context.outcome = f"{environment.title} was made from {context.environment.title}."
    return None


def _activate(context: Context) -> str | None:
    environment = Environment.objects.get(project=context.project, branch=context.activity.parameters["branch"])
    coming = Activity.objects.filter(environment=environment, kind=Kind.ACTIVATE)
    if not environment.is_active and not coming.exists():  # by a worker that was lost in this step
        actions.activate(environment, by=context.activity.actor, empty=bool(context.activity.parameters.get("empty")))
    context.outcome = f"{environment.title} was made from {context.environment.title} and is being activated."
    return None


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    """Nothing: a branch that was made stays, and asking again goes on from it."""


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
