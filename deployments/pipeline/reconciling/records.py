"""The database against itself and against Git."""

from collections.abc import Iterable

from cryptography.fernet import InvalidToken
from django.db.models import Count, Exists, F, Max, OuterRef
from django.db.models.functions import Now

from deployments.actions import pushes as push_actions
from deployments.enums import Kind, State, StepState
from deployments.models import Activity, LogChunk, Step
from deployments.pipeline import backup_rounds
from deployments.pipeline.reconciling.finding import Finding
from environments.models import Environment
from portal.crypto import decrypt
from portal.fields import sealed
from portal.models import Project


def states() -> Iterable[Finding]:
    """What an activity was to bring to an end, when there is none (any more) that will."""
    deleting = Activity.objects.open().filter(environment=OuterRef("pk"))
    stuck = Environment.objects.filter(~Exists(deleting), status=Environment.Status.DELETING)
    if stuck.exists():
        yield Finding(
            "An environment is marked as being deleted, but nothing deletes it",
            "An environment whose deletion had failed can be deleted again",
            lambda: bool(stuck.update(status=Environment.Status.INACTIVE)),
        )
    creating = Activity.objects.open().filter(project=OuterRef("pk"), kind=Kind.PROJECT_CREATE)
    unmade = Project.objects.filter(~Exists(creating), state=Project.State.CREATING)
    if unmade.exists():
        yield Finding(
            "A project is marked as being created, but nothing creates it",
            "A project whose creation had failed can be tried again",
            lambda: bool(unmade.update(state=Project.State.FAILED)),
        )


def pushes(project: Project) -> Iterable[Finding]:
    """Branches that are elsewhere than any activity says."""
    if push_actions.has_unrecorded(project):
        yield Finding(
            f"{project}: a branch moved without an activity",
            f"{project}: a push had no activity, and has one now",
            lambda: bool(push_actions.reconcile_refs(project)),
        )


def activities() -> Iterable[Finding]:
    """Running ones whose worker is gone longer than any sweep waits, and steps that outlived their activity."""
    lost = Activity.objects.filter(state=State.RUNNING, lease_until__lt=Now())
    for activity in lost.select_related("environment"):
        yield Finding(f"{activity} has lost its worker; the next sweep of a running worker ends it or sends it on")
    over = [state.value for state in State if state.is_final]
    for step in Step.objects.filter(activity__state__in=over, state=StepState.RUNNING).select_related("activity")[:20]:
        yield Finding(f"Step {step.title} of {step.activity} runs although the activity has ended")


def logs() -> Iterable[Finding]:
    """Chunks are numbered 1, 2, 3, … without gap."""
    per_activity = LogChunk.objects.order_by().values("activity").annotate(count=Count("pk"), last=Max("number"))
    for found in per_activity.exclude(count=F("last"))[:20]:
        yield Finding(f"The log of activity {found['activity']} has a gap: {found['count']} of {found['last']} chunks")


def backups() -> Iterable[Finding]:
    """Those that cannot be relied on, and those that are overdue."""
    for alarm in backup_rounds.alarms(Environment.objects.active()).values():
        yield Finding(alarm)


def secrets() -> Iterable[Finding]:
    """What none of the keys in secrets/fields.keys opens."""
    for model, name in sealed():
        for row in model._default_manager.exclude(**{name: ""}):
            try:
                decrypt(getattr(row, name))
            except InvalidToken:
                what = f"{name.replace('_', ' ')} of {model._meta.verbose_name} {row}"
                yield Finding(f"No key in secrets/fields.keys opens the {what}")
