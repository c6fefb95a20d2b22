"""When something may be asked of an environment: one rule for each kind of activity, told as a reason why not.

The actions refuse by these rules, under the project's lock; the buttons and the listing of actions show the same words.
Who may is another question: see environments.access.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from deployments.enums import Kind
from deployments.models import Activity, Release
from environments import drift
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.errors import Conflict
from portal.models import Project


@dataclass(frozen=True)
class Use:
    """An active Integration environment that takes one of the project's places."""

    title: str
    deployed_at: datetime | None
    visited_at: datetime | None
    hidden: bool = False  # from whoever reads this: its title says only that there is one

    def __str__(self) -> str:
        if self.hidden:
            return self.title
        if self.deployed_at is None:
            return f"{self.title} (being activated)"
        deployed = f"last deployed {_moment(self.deployed_at)}"
        visited = f"last visited {_moment(self.visited_at)}" if self.visited_at else "never visited"
        return f"{self.title} ({deployed}, {visited})"


@dataclass(frozen=True)
class Situation:
    """What the rules look at."""

    environment: Environment
    project: Project
    children: Sequence[str]  # titles
    open: Collection[Kind]  # kinds of its activities that have not ended
    taken: Sequence[Use]  # by other environments; the longest unused first
    live: bool = True  # whether a release serves
    parent: str = ""  # title; empty at the top of the tree
    ahead: int | None = None  # commits that the parent lacks; None when that is not known
    behind: int | None = None  # commits of the parent that it lacks
    merging: bool = False  # into its parent, just now or soon

    @property
    def title(self) -> str:
        return self.environment.title

    @property
    def type(self) -> EnvironmentType:
        return self.environment.environment_type


def look(environment: Environment) -> Situation:
    """As it is now; `environment` is read again. For certainty, call it under the project's lock."""
    environment.refresh_from_db()
    parent = environment.parent
    counted = parent is not None and environment.drift_of == drift.pair(environment.head_commit, parent.head_commit)
    kinds = Activity.objects.open().filter(environment=environment).values_list("kind", flat=True)
    return Situation(
        environment=environment,
        project=environment.project,
        children=list(environment.children.order_by("title").values_list("title", flat=True)),
        open={Kind(kind) for kind in kinds},
        taken=uses(environment.project, besides=environment),
        live=Release.objects.filter(environment=environment, state=Release.State.LIVE).exists(),
        parent=parent.title if parent else "",
        ahead=environment.ahead if counted else None,
        behind=environment.behind if counted else None,
        merging=Activity.objects.open().filter(source=environment, kind=Kind.MERGE).exists(),
    )


def uses(project: Project, *, besides: Environment) -> list[Use]:
    """The Integration environments that are active or being activated."""
    coming = Activity.objects.open().filter(project=project, kind=Kind.ACTIVATE).values("environment")
    integration = project.environments.filter(type=EnvironmentType.INTEGRATION).exclude(pk=besides.pk)
    live = Release.objects.filter(environment=OuterRef("pk"), state=Release.State.LIVE).values("live_at")[:1]
    found = (integration.active() | integration.filter(pk__in=coming)).distinct().annotate(live_at=Subquery(live))
    return in_order([Use(*values) for values in found.values_list("title", "live_at", "visited_at")])


def in_order(taken: Sequence[Use]) -> list[Use]:
    """The longest unused first: whoever looks for one to deactivate begins there."""
    return sorted(taken, key=lambda use: (max(use.deployed_at or _NEVER, use.visited_at or _NEVER), use.title))


def why_not(kind: Kind, situation: Situation) -> str:
    """Empty when it is possible."""
    return _RULES[kind](situation)


def check(kind: Kind, environment: Environment) -> Situation:
    """Raises Conflict with the reason when it is not possible now."""
    situation = look(environment)
    reason = why_not(kind, situation)
    if reason:
        raise Conflict(reason)
    return situation


def check_room(project: Project, environment: Environment) -> None:
    """Raises Conflict when the project has as many active Integration environments as it may have."""
    taken = uses(project, besides=environment)
    reason = no_room(Situation(environment, project, children=(), open=(), taken=taken))
    if reason:
        raise Conflict(reason)


def _activate(now: Situation) -> str:
    if now.environment.is_active:
        return f"{now.title} is active already."
    if now.environment.status == Environment.Status.DELETING:
        return _always(now)
    if Kind.ACTIVATE in now.open:
        return f"{now.title} is being activated already."
    return no_room(now)


def no_room(now: Situation) -> str:
    """Why the project cannot have one more active Integration environment; empty when it can."""
    if now.type is not EnvironmentType.INTEGRATION or len(now.taken) < now.project.max_active_integration:
        return ""
    return (
        f"{now.project.title} has {len(now.taken)} active Integration environments, which is its limit. "
        f"Deactivate one first: {', '.join(map(str, now.taken))}."
    )


def _needs_active(now: Situation) -> str:
    if Kind.DEACTIVATE in now.open:
        return f"{now.title} is being deactivated."
    if now.environment.is_active:
        return ""
    return f"{now.title} is inactive: it has nothing to do this with. Activate it first."


def _cron(now: Situation) -> str:
    if now.environment.is_paused:
        return f"{now.title} is paused. Resume it first."
    if now.environment.is_active and not now.live:
        return f"Nothing serves in {now.title} yet."
    return _needs_active(now)


def _deactivate(now: Situation) -> str:
    if now.type is EnvironmentType.PRODUCTION:
        return "Production cannot be deactivated."
    return _needs_active(now)


def _pause(now: Situation) -> str:
    if now.type is EnvironmentType.PRODUCTION:
        return "Production is never paused."
    if now.environment.is_paused:
        return f"{now.title} is paused already."
    if now.environment.is_active and not now.live:
        return f"Nothing is live on {now.title} that could be paused."
    return _needs_active(now) or _at_rest(now)


def _resume(now: Situation) -> str:
    if now.environment.is_paused or Kind.PAUSE in now.open:
        return ""
    return _needs_active(now) or f"{now.title} is awake."


def _delete(now: Situation) -> str:
    if now.environment.branch == now.project.default_branch or now.type is not EnvironmentType.INTEGRATION:
        return f"{now.title} is part of every project and cannot be deleted."
    if now.environment.is_active:
        return f"{now.title} is active. Deactivate it first."
    if now.children:
        named = ", ".join(now.children[:5]) + (" and others" if len(now.children) > 5 else "")
        return f"{now.title} has children: {named}. Delete them first, or give them another parent."
    if now.merging:
        return f"{now.title} is being merged into {now.parent}. Wait for that."
    return _at_rest(now)


def _at_rest(now: Situation) -> str:
    return f"{now.title} has an activity that has not ended. Wait for it or cancel it." if now.open else ""


def _always(now: Situation) -> str:
    return f"{now.title} is being deleted." if now.environment.status == Environment.Status.DELETING else ""


def _merge(now: Situation) -> str:
    if now.environment.parent_id is None:
        return f"{now.title} is at the top of the tree: there is nothing above it to merge into."
    if now.merging:
        return f"{now.title} is being merged into {now.parent} already."
    if now.ahead == 0:
        return f"{now.title} holds no commit that {now.parent} lacks."
    return _always(now)


def _synchronize(now: Situation) -> str:
    if now.environment.parent_id is None:
        return f"{now.title} is at the top of the tree: there is nothing above it to take code from."
    if Kind.SYNCHRONIZE in now.open:
        return f"{now.title} is being synchronized already."
    if now.behind == 0:
        return f"{now.title} holds every commit of {now.parent}."
    return _always(now)


def _restore(now: Situation) -> str:
    if Kind.RESTORE in now.open:
        return f"{now.title} is being restored already."
    return _always(now) or ("" if now.environment.is_active else no_room(now))


_NEVER = datetime.min.replace(tzinfo=timezone.get_default_timezone())

_RULES: dict[Kind, Callable[[Situation], str]] = {
    Kind.ACTIVATE: _activate,
    Kind.DEACTIVATE: _deactivate,
    Kind.REDEPLOY: _needs_active,
    Kind.BRANCH: _always,
    Kind.DELETE: _delete,
    Kind.MERGE: _merge,
    Kind.SYNCHRONIZE: _synchronize,
    Kind.BACKUP: _needs_active,
    Kind.RESTORE: _restore,
    Kind.PAUSE: _pause,
    Kind.RESUME: _resume,
    Kind.CRON: _cron,
}


def _moment(at: datetime) -> str:
    return f"{timezone.localtime(at):%-d %B, %H:%M}"
