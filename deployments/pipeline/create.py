"""A new project: its repository from a starter or a Git URL, its environment tree, and Integration brought to life."""

from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from deployments import live
from deployments.actions import environments as actions
from deployments.models import Activity
from deployments.pipeline.context import YELLOW, Context, Part, Procedure
from deployments.pipeline.failures import Failure
from environments import access, imports, names, repositories, starters
from environments.runtimes.base import Runtime
from portal.crypto import decrypt
from portal.enums import EnvironmentType
from portal.errors import Conflict
from portal.models import Project
from portal.permissions import Permission

# The tree that every project has, from the top down: branch and type.
TREE = (
    ("production", EnvironmentType.PRODUCTION),
    ("staging", EnvironmentType.STAGING),
    ("master", EnvironmentType.INTEGRATION),
)
_MAX_BRANCHES = 200  # of an imported repository that get an inactive environment at once


def _parts(context: Context) -> list[Part]:
    title = "Clone the repository" if context.project.source == Project.Source.GIT else "Prepare the repository"
    return [
        Part("repository", title, _repository),
        Part("environments", "Create the environments", _environments, cancellable=False),
        Part("activate", "Activate Integration", _activate, cancellable=False),
    ]


def _repository(context: Context) -> str | None:
    project = context.project
    path = settings.HOME.repository(project.pk)
    if project.source == Project.Source.GIT:
        return _clone(context)
    starter = starters.find(project.source_name)
    context.log.line(f"Preparing the repository from the template {starter.title}")
    repositories.create_from_folder(
        path,
        starter.path,
        message=f"Begin with the template {starter.title}",
        author=context.activity.actor_name,
        at=datetime.now(UTC),
    )
    return None


def _clone(context: Context) -> str | None:
    project = context.project
    private_key = decrypt(project.deploy_key_private)
    context.hide([private_key])
    context.log.line(f"Cloning {project.source_name}")
    imported = imports.import_remote(
        project.source_name,
        settings.HOME.repository(project.pk),
        watch=context.watch(total=settings.CLONE_TIMEOUT, silence=settings.CLONE_TIMEOUT),
        known_hosts=settings.HOME.secrets / "known_hosts",
        private_key=private_key,
        max_bytes=settings.CLONE_MAX_BYTES,
        allow_private=settings.ALLOW_PRIVATE_REMOTES,
    )
    for note in imported.notes:
        context.log.line(f"{YELLOW}{note}\x1b[0m")
    return f"{len(imported.branches)} branches"


def _environments(context: Context) -> str | None:
    project, by = context.project, context.activity.actor
    path = settings.HOME.repository(project.pk)
    heads = repositories.branches(path)
    context.heading("Creating the environments")
    parent = None
    with transaction.atomic():
        for branch, type in TREE:
            if branch not in heads:
                raise Failure("branch-missing", f"The repository has no branch {branch}.")
            parent = actions.make_row(
                project, branch=branch, type=type, parent=parent, commit=heads[branch], by=by, title=type.label
            )
            context.say(f"{type.label}: branch {branch}")
        others = [branch for branch in heads if branch not in dict(TREE)]
        for branch in others[:_MAX_BRANCHES]:
            _environment_of(context, branch, heads[branch])
        Project.objects.filter(pk=project.pk).update(state=Project.State.READY, default_branch="master")
    if len(others) > _MAX_BRANCHES:
        context.say(f"{len(others) - _MAX_BRANCHES} more branches get an environment when they are pushed", YELLOW)
    live.publish(f"project:{project.pk}", "environment")
    return None


def _environment_of(context: Context, branch: str, commit: str) -> None:
    project = context.project
    master = project.environments.get(branch="master")
    try:
        actions.make_row(
            project,
            branch=names.check_branch(branch),
            type=EnvironmentType.INTEGRATION,
            parent=master,
            commit=commit,
            by=context.activity.actor,
        )
    except Conflict as error:
        context.say(f"No environment for {branch}: {error.message}", YELLOW)


def _activate(context: Context) -> str | None:
    master = context.project.environments.get(branch="master")
    actor = context.activity.actor
    try:
        actions.activate(master, by=actor if actor and access.can(actor, master, Permission.OPERATE) else None)
    except Conflict:
        return "already asked for"
    context.outcome = f"{context.project.title} is ready; {master.title} is being activated."
    return None


def _resumes(activity: Activity) -> bool:
    """Each step may be repeated from its beginning, so a lost worker costs an attempt and no more."""
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    Project.objects.filter(pk=activity.project_id, state=Project.State.CREATING).update(state=Project.State.FAILED)
    live.publish(f"project:{activity.project_id}", "environment")


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
