"""Activities in words: the lines of a feed, the title of a page, the state in a pill."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from deployments.enums import Kind, State, StepState
from deployments.models import Activity, Step

_STATES = {
    State.PENDING: "Waiting",
    State.RUNNING: "Running",
    State.SUCCEEDED: "Succeeded",
    State.FAILED: "Failed",
    State.CANCELLED: "Cancelled",
}
# kind -> (done, to do, title); a push is told by its commits instead
_VERBS = {
    Kind.PROJECT_CREATE: ("created the project", "create the project", "Create"),
    Kind.PUSH: ("pushed to", "push to", "Push to"),
    Kind.ACTIVATE: ("activated", "activate", "Activate"),
    Kind.DEACTIVATE: ("deactivated", "deactivate", "Deactivate"),
    Kind.REDEPLOY: ("redeployed", "redeploy", "Redeploy"),
    Kind.BRANCH: ("created the branch", "create the branch", "Create branch"),
    Kind.DELETE: ("deleted", "delete", "Delete"),
    Kind.MERGE: ("merged", "merge", "Merge"),
    Kind.SYNCHRONIZE: ("synchronized", "synchronize", "Synchronize"),
    Kind.PAUSE: ("paused", "pause", "Pause"),
    Kind.RESUME: ("resumed", "resume", "Resume"),
    Kind.BACKUP: ("backed up", "back up", "Back up"),
    Kind.RESTORE: ("restored", "restore", "Restore"),
    Kind.CRON: ("ran a cron on", "run a cron on", "Run a cron on"),
}


def state_words(activity: Activity) -> str:
    return _STATES[State(activity.state)]


def object_name(activity: Activity) -> str:
    """What it was asked of: the environment's title, or the one it had."""
    told: dict[str, Any] = activity.parameters
    if activity.kind == Kind.PROJECT_CREATE:
        return activity.project.title
    if activity.kind == Kind.MERGE and activity.environment is not None:
        return f"{told.get('title') or 'a branch'} into {activity.environment.title}"
    if activity.kind == Kind.SYNCHRONIZE and activity.environment is not None and told.get("title"):
        return f"{activity.environment.title} from {told['title']}"
    if activity.kind == Kind.BRANCH:
        return str(told.get("title") or told.get("branch") or "a branch")
    if activity.environment is not None:
        return activity.environment.title
    return str(told.get("title") or told.get("name") or "a deleted environment")


def title(activity: Activity) -> str:
    if activity.kind == Kind.CRON:
        return f"Run {activity.parameters.get('cron', 'a cron')} on {object_name(activity)}"
    return f"{_VERBS[Kind(activity.kind)][2]} {object_name(activity)}"


def verb(activity: Activity) -> str:
    """What the actor did, by how far it is: "activated", "is activating"... stands between the actor and the object."""
    done, infinitive, _ = _VERBS[Kind(activity.kind)]
    if activity.kind == Kind.PUSH:
        count = len(commits(activity))
        return f"pushed {count} commits to" if count > 1 else done
    if activity.kind == Kind.CRON and activity.parameters.get("cron"):
        cron = activity.parameters["cron"]
        done, infinitive = f"ran the cron {cron} on", f"run the cron {cron} on"
    if activity.state == State.SUCCEEDED:
        return done
    before = {State.FAILED: "tried to", State.CANCELLED: "wanted to"}
    return f"{before.get(State(activity.state), 'asked to')} {infinitive}"


def commits(activity: Activity) -> list[dict[str, str]]:
    """The commits it brought, newest first: sha, subject, author. Written when it was asked for."""
    told = activity.parameters.get("commits") or activity.payload.get("commits") or []
    return [commit for commit in told if isinstance(commit, dict) and commit.get("sha")]


@dataclass(frozen=True)
class Entry:
    """One line of a feed."""

    activity: Activity
    steps: Sequence[Step] = field(default_factory=tuple)

    @property
    def url(self) -> str:
        return reverse("activity", args=[self.activity.project_id, self.activity.pk])

    @property
    def dot(self) -> str:
        return self.activity.state

    @property
    def words(self) -> str:
        return state_words(self.activity)

    @property
    def actor(self) -> str:
        return self.activity.actor_name

    @property
    def verb(self) -> str:
        return verb(self.activity)

    @property
    def target(self) -> str:
        return "" if self.activity.kind == Kind.PROJECT_CREATE else object_name(self.activity)

    @property
    def commit(self) -> dict[str, str] | None:
        return next(iter(commits(self.activity)), None)

    @property
    def running_for(self) -> float:
        return (timezone.now() - self.activity.started_at).total_seconds() if self.activity.started_at else 0.0

    @property
    def took(self) -> float | None:
        start, end = self.activity.started_at, self.activity.finished_at
        return (end - start).total_seconds() if start and end else None

    @property
    def at(self) -> datetime:
        return self.activity.created_at

    @property
    def step(self) -> str:
        """Where a running one is: "Build store · step 2 of 8"."""
        for number, step in enumerate(self.steps, 1):
            if step.state == StepState.RUNNING:
                return f"{step.title} · step {number} of {len(self.steps)}"
        return "Starting"


def entries(activities: Iterable[Activity]) -> list[Entry]:
    """The lines for these activities (with environment and project loaded); one more query when some are running."""
    listed = list(activities)
    running = [activity.pk for activity in listed if activity.state == State.RUNNING]
    steps: dict[str, list[Step]] = {}
    if running:
        for step in Step.objects.filter(activity__in=running).order_by("position"):
            steps.setdefault(step.activity_id, []).append(step)
    return [Entry(activity, steps.get(activity.pk, [])) for activity in listed]


def ordinal(number: int) -> str:
    suffix = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def queue_place(activity: Activity) -> str:
    """Why a pending one has not begun: "Next in line, behind Push to master"."""
    if activity.environment_id is None:
        return "Waiting for a free worker."
    ahead = list(
        Activity.objects.open()
        .filter(environment=activity.environment_id, sequence__lt=activity.sequence)
        .select_related("environment", "project")
        .order_by("sequence")
    )
    if not ahead:
        return "Next in line: it begins as soon as a worker is free."
    return f"{ordinal(len(ahead) + 1)} in line, behind “{title(ahead[-1])}”."
