"""Environments as the tree shows them: their state in a dot and in words, and what this person may do there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils import timezone

from deployments.enums import Kind, State
from deployments.models import Activity, Health, Release
from environments import access, drift
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.permissions import Permission

_DEEPEST = 6  # how far the sidebar indents
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


@dataclass
class Node:
    """An environment in the tree, as this person may see it."""

    environment: Environment
    allowed: frozenset[Permission]
    live_number: int | None = None
    live_at: datetime | None = None
    open_kind: str | None = None
    open_state: str | None = None
    last_state: str | None = None
    health_state: str | None = None  # see models.Health; None: never looked at
    merging: bool = False  # into its parent, just now or soon
    depth: int = 0
    ahead: int | None = None  # commits that the parent lacks; None when unknown or out of date
    behind: int | None = None
    files_touched: int | None = None
    configuration_drift: Sequence[str] = ()
    parent: "Node | None" = None  # None also where the person may not see it
    children: list["Node"] = field(default_factory=list)
    stands_out: bool = True  # shown in the tree; the rest is folded away behind a count

    @property
    def indent(self) -> int:
        return min(self.depth, _DEEPEST)

    @property
    def url(self) -> str:
        return _url(self.environment.project_id, self.environment.name)

    @property
    def type_label(self) -> str:
        return self.environment.environment_type.label

    @property
    def dot(self) -> str:
        """Which of the shapes in components.css stands for its state."""
        if self.environment.status == Environment.Status.DELETING:
            return "attention"
        if self.open_state:
            return "running" if self.open_state == State.RUNNING else "pending"
        if self.last_state == State.FAILED:
            return "failed"
        if not self.environment.is_active:
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
        if self.environment.status == Environment.Status.DELETING:
            return "being deleted"
        if self.open_state:
            doing = _BUSY.get(Kind(self.open_kind), "working") if self.open_kind else "working"
            return doing if self.open_state == State.RUNNING else f"{doing}: waiting for its turn"
        does = "sleeps" if self.environment.is_paused else "serves"
        serves = f", v{self.live_number} {does}" if self.live_number else ""
        if self.last_state == State.FAILED:
            return f"last activity failed{serves}"
        if not self.environment.is_active:
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
        return self.parent.environment.title if self.parent else ""

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
    names = ("live_number", "live_at", "open_kind", "open_state", "last_state", "health_state", "merging")
    return Node(environment, allowed, **{name: getattr(environment, name) for name in names})


def in_order(nodes: list[Node]) -> list[Node]:
    """Parents before their children, with depths. Whose parent is not seen stands at the top."""
    by_key = {node.environment.pk: node for node in nodes}
    roots: list[Node] = []
    for node in nodes:
        parent = by_key.get(node.environment.parent_id or 0)
        (parent.children if parent else roots).append(node)
        own = node.environment
        node.parent = parent
        if parent and own.drift_of and own.drift_of == drift.pair(own.head_commit, parent.environment.head_commit):
            node.ahead, node.behind = own.ahead, own.behind
            node.files_touched, node.configuration_drift = own.files_touched, own.configuration_drift

    def walk(level: list[Node], depth: int) -> Iterator[Node]:
        rank = list(EnvironmentType)[::-1]
        for node in sorted(
            level, key=lambda each: (rank.index(each.environment.environment_type), each.environment.pk)
        ):
            node.depth = depth
            yield node
            yield from walk(node.children, depth + 1)

    return list(walk(roots, 0))


def fold(ordered: Sequence[Node], default_branch: str) -> None:
    """Let stand out what runs, what has such children, and what every project has."""
    for node in reversed(ordered):
        environment = node.environment
        node.stands_out = (
            environment.status != Environment.Status.INACTIVE
            or environment.environment_type is not EnvironmentType.INTEGRATION
            or environment.branch == default_branch
            or node.open_state is not None
            or any(child.stands_out for child in node.children)
        )


def count(environments: Sequence[Environment]) -> list[tuple[str, int, str]]:
    """(dot, number, word) of what a project's environments are up to, the most pressing first. From `with_states`."""
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
