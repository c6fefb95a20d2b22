"""Environments as the tree shows them: their state in a dot and in words, and what this person may do there."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone

from deployments.enums import Kind, State
from deployments.models import Activity, Health, Release
from environments import access, drift
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.permissions import Permission

_DEEPEST = 6  # how far the sidebar indents
_RANK = {type: rank for rank, type in enumerate(reversed(EnvironmentType))}
_STATES = ("live_number", "live_at", "open_kind", "open_state", "last_state", "health_state", "merging")
_FILLED = {"environment", *_STATES}
_BUSY = {
    Kind.PUSH: "deploying",
    Kind.ACTIVATE: "activating",
    Kind.REDEPLOY: "redeploying",
    Kind.DEACTIVATE: "deactivating",
    Kind.BRANCH: "branching",
    Kind.DELETE: "deleting",
    Kind.MERGE: "merging",
    Kind.SYNCHRONIZE: "synchronizing",
    Kind.PAUSE: "pausing",
    Kind.RESUME: "waking up",
    Kind.BACKUP: "backing up",
    Kind.RESTORE: "restoring",
    Kind.CRON: "running a cron",
}


@lru_cache(maxsize=4096)
def _url(project_id: str, name: str) -> str:
    """Remembered: a page names hundreds of them."""
    return reverse("environment", args=[project_id, name])


def in_words(seconds: float) -> str:
    """An age as people say it: "12 min", "3 h", "2 d"."""
    minutes = max(1, round(seconds / 60))
    if minutes < 90:
        return f"{minutes} min"
    return f"{round(minutes / 60)} h" if minutes < 36 * 60 else f"{round(minutes / 1440)} d"


@dataclass(eq=False)
class Node:
    """An environment in the tree, as this person may see it. What is declared without a value here is read when it is
    first asked for: a project has hundreds of environments, and a page shows a few."""

    pk: int
    parent_id: int | None
    project_id: str
    name: str
    title: str
    branch: str
    environment_type: EnvironmentType
    status: str
    removal_at: datetime | None
    is_busy: bool  # an activity of it is open
    allowed: frozenset[Permission]
    read: Callable[[], None] | None = None  # calls `fill` on this one and on others that were not filled yet

    environment: Environment = field(init=False)
    live_number: int | None = field(init=False)
    live_at: datetime | None = field(init=False)
    open_kind: str | None = field(init=False)
    open_state: str | None = field(init=False)
    last_state: str | None = field(init=False)
    health_state: str | None = field(init=False)  # see models.Health; None: never looked at
    merging: bool = field(init=False)  # into its parent, just now or soon

    depth: int = 0
    parent: "Node | None" = None  # None also where the person may not see it
    children: list["Node"] = field(default_factory=list)
    stands_out: bool = True  # shown in the tree; the rest is folded away behind a count

    def fill(self, environment: Environment) -> None:
        """`environment` comes from `with_states`."""
        self.environment = environment
        for name in _STATES:
            setattr(self, name, getattr(environment, name))

    @property
    def is_filled(self) -> bool:
        return "environment" in self.__dict__

    def __getattr__(self, name: str) -> Any:
        """Only called for what is not there yet."""
        if name not in _FILLED or self.read is None:
            raise AttributeError(name)
        self.read()
        return self.__dict__[name]

    @property
    def is_active(self) -> bool:
        return self.status == Environment.Status.ACTIVE

    @property
    def _counted(self) -> Environment | None:
        """The environment, when its drift was counted for the commits that are the heads now."""
        own = self.environment
        if not self.parent or not own.drift_of:
            return None
        return own if own.drift_of == drift.pair(own.head_commit, self.parent.environment.head_commit) else None

    @property
    def ahead(self) -> int | None:
        """Commits that the parent lacks; None when unknown or out of date."""
        return self._counted.ahead if self._counted else None

    @property
    def behind(self) -> int | None:
        return self._counted.behind if self._counted else None

    @property
    def files_touched(self) -> int | None:
        return self._counted.files_touched if self._counted else None

    @property
    def configuration_drift(self) -> Sequence[str]:
        return self._counted.configuration_drift if self._counted else ()

    @property
    def indent(self) -> int:
        return min(self.depth, _DEEPEST)

    @property
    def url(self) -> str:
        return _url(self.project_id, self.name)

    @property
    def type_label(self) -> str:
        return self.environment_type.label

    @property
    def dot(self) -> str:
        """Which of the shapes in components.css stands for its state."""
        if self.status == Environment.Status.DELETING:
            return "attention"
        if self.open_state:
            return "running" if self.open_state == State.RUNNING else "pending"
        if self.last_state == State.FAILED:
            return "failed"
        if not self.is_active:
            return "inactive"
        if self.environment.is_paused:
            return "paused"
        if self.is_unhealthy:
            return "failed"
        return "succeeded" if self.live_number else "attention"

    @property
    def is_unhealthy(self) -> bool:
        return self.health_state == Health.State.UNHEALTHY and self.live_number is not None

    @property
    def words(self) -> str:
        """The state in words; they stand wherever the dot does."""
        if self.status == Environment.Status.DELETING:
            return "being deleted"
        if self.open_state:
            doing = _BUSY.get(Kind(self.open_kind), "working") if self.open_kind else "working"
            return doing if self.open_state == State.RUNNING else f"{doing}: waiting for its turn"
        does = "sleeps" if self.environment.is_paused else "serves"
        serves = f", v{self.live_number} {does}" if self.live_number else ""
        if self.last_state == State.FAILED:
            return f"last activity failed{serves}"
        if not self.is_active:
            return "inactive"
        if self.environment.is_paused:
            return f"paused{serves}"
        if self.is_unhealthy:
            return f"unhealthy{serves}"
        return f"live, v{self.live_number}" if self.live_number else "nothing deployed yet"

    @property
    def note(self) -> str:
        """One short line under the name on the map; `note_at` says whether the release's time belongs behind it."""
        if self.dot == "failed" and self.last_state != State.FAILED:
            return f"unhealthy · v{self.live_number} serves"
        if self.dot == "failed" and self.live_number:
            return f"failed · v{self.live_number} serves"
        return f"v{self.live_number}" if self.note_at else self.words

    @property
    def note_at(self) -> bool:
        return self.dot == "succeeded"

    @property
    def shown(self) -> list["Node"]:
        return [child for child in self.children if child.stands_out]

    @property
    def parent_title(self) -> str:
        return self.parent.title if self.parent else ""

    @property
    def drift(self) -> str:
        """Commits ahead of and behind its parent; empty when there are none, or when that is unknown."""
        parts = [f"+{self.ahead}" if self.ahead else "", f"−{self.behind}" if self.behind else ""]  # noqa: RUF001
        return " ".join(part for part in parts if part)

    @property
    def drift_words(self) -> str:
        """As in "3 commits ahead of production, 1 behind, 12 files"; empty when that is unknown."""
        if self.ahead is None or self.behind is None:
            return ""
        if not self.ahead and not self.behind:
            return f"same commit as {self.parent_title}"
        number, way = (self.ahead, "ahead of") if self.ahead else (self.behind, "behind")
        words = f"{number} {'commit' if number == 1 else 'commits'} {way} {self.parent_title}"
        words += f", {self.behind} behind" if self.ahead and self.behind else ""
        files = self.files_touched or 0
        words += f", {files:,} {'file' if files == 1 else 'files'} touched" if files else ""
        return f"{words}, configured otherwise" if self.configuration_drift else words

    @property
    def edge_note(self) -> str:
        """What is short enough for the map: how old its data is, and that it is configured otherwise."""
        told = []
        if self.environment.data_at is not None:
            told.append(f"data {in_words((timezone.now() - self.environment.data_at).total_seconds())} old")
        if self.configuration_drift:
            told.append("configured otherwise")
        return " · ".join(told)

    @property
    def edge_words(self) -> str:
        """All there is to know of the edge to its parent, for whoever points at it."""
        told = [self.drift_words, ", ".join(self.configuration_drift)]
        if self.environment.data_at is not None:
            age = (timezone.now() - self.environment.data_at).total_seconds()
            told.append(f"{self.environment.data_source or 'data'}, {in_words(age)} old")
        return " · ".join(each for each in told if each)

    @property
    def aside(self) -> str:
        """What stands at the end of its row: the drift, or else the version."""
        return self.drift or (f"v{self.live_number}" if self.live_number else "")

    def may(self, permission: str) -> bool:
        return Permission(permission) in self.allowed

    def why_not(self, permission: str) -> str:
        """Empty when the person may; else why not, and who could."""
        return "" if self.may(permission) else access.denial(self.environment, Permission(permission))


def with_states(environments: QuerySet[Environment]) -> QuerySet[Environment]:
    """The environments with what a Node shows of them, in one query."""
    live = Release.objects.filter(environment=OuterRef("pk"), state=Release.State.LIVE)
    activities = Activity.objects.filter(environment=OuterRef("pk"))
    running_first = activities.filter(state__in=[State.PENDING, State.RUNNING]).order_by("-state", "sequence")
    ended = activities.filter(state__in=[State.SUCCEEDED, State.FAILED]).order_by("-created_at", "-sequence")
    return environments.annotate(
        live_number=Subquery(live.values("number")[:1]),
        live_at=Subquery(live.values("live_at")[:1]),
        open_kind=Subquery(running_first.values("kind")[:1]),
        open_state=Subquery(running_first.values("state")[:1]),
        last_state=Subquery(ended.values("state")[:1]),
        health_state=F("health__state"),
        merging=Exists(Activity.objects.open().filter(source=OuterRef("pk"), kind=Kind.MERGE)),
    )


def make(environment: Environment, allowed: frozenset[Permission]) -> Node:
    """`environment` comes from `with_states`."""
    node = Node(
        pk=environment.pk,
        parent_id=environment.parent_id,
        project_id=environment.project_id,
        name=environment.name,
        title=environment.title,
        branch=environment.branch,
        environment_type=environment.environment_type,
        status=environment.status,
        removal_at=environment.removal_at,
        is_busy=bool(getattr(environment, "open_state", None)),
        allowed=allowed,
    )
    node.fill(environment)
    return node


def in_order(nodes: Sequence[Node]) -> list[Node]:
    """Parents before their children, with depths. Whose parent is not seen stands at the top."""
    by_key = {node.pk: node for node in nodes}
    roots: list[Node] = []
    for node in nodes:
        node.parent = by_key.get(node.parent_id or 0)
        (node.parent.children if node.parent else roots).append(node)

    def walk(level: list[Node], depth: int) -> Iterator[Node]:
        for node in sorted(level, key=lambda each: (_RANK[each.environment_type], each.pk)):
            node.depth = depth
            yield node
            if node.children:
                yield from walk(node.children, depth + 1)

    return list(walk(roots, 0))


def fold(ordered: Sequence[Node], default_branch: str) -> None:
    """Let stand out what runs, what has such children, and what every project has."""
    for node in reversed(ordered):
        node.stands_out = (
            node.status != Environment.Status.INACTIVE
            or node.environment_type is not EnvironmentType.INTEGRATION
            or node.branch == default_branch
            or node.is_busy
            or node.removal_at is not None
            or any(child.stands_out for child in node.children)
        )


def of_note(environments: QuerySet[Environment]) -> QuerySet[Environment]:
    """With states, those of which `count` would tell: hundreds that sleep as branches need not be read."""
    runs, failed = ~Q(status=Environment.Status.INACTIVE), Q(last_state=State.FAILED)
    return with_states(environments).filter(runs | failed | Q(open_state__isnull=False))


def count(environments: Sequence[Environment]) -> list[tuple[str, int, str]]:
    """(dot, number, word) of what a project's environments are up to, the most pressing first. From `of_note`."""
    made = [make(environment, frozenset()).dot for environment in environments]
    words = {
        "failed": "failing",
        "running": "busy",
        "pending": "waiting",
        "attention": "not deployed",
        "succeeded": "live",
        "paused": "paused",
    }
    return [(dot, made.count(dot), word) for dot, word in words.items() if dot in made]
