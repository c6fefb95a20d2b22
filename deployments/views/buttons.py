"""The buttons of an environment's page: which there are, and why one of them cannot be pressed."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from deployments.actions import merges, possible
from deployments.actions.activities import NEEDED
from deployments.actions.possible import Situation, Use
from deployments.enums import Kind
from deployments.views.frame import Frame
from deployments.views.nodes import Node
from environments.models import Environment
from portal.enums import EnvironmentType


@dataclass(frozen=True)
class Button:
    kind: Kind
    view: str  # name of its URL
    label: str
    icon: str
    shown: Callable[[Frame, Environment], bool]
    post: bool = False  # acts at once; the others open a page
    primary: bool = False
    more: bool = False  # behind the button "More": what is seldom asked for, or takes something away
    why_not: str = ""


def _always(frame: Frame, environment: Environment) -> bool:
    return True


def _active(frame: Frame, environment: Environment) -> bool:
    return environment.is_active


def _inactive(frame: Frame, environment: Environment) -> bool:
    return environment.status == Environment.Status.INACTIVE


def _can_go(frame: Frame, environment: Environment) -> bool:
    return _active(frame, environment) and environment.environment_type is not EnvironmentType.PRODUCTION


def _can_be_deleted(frame: Frame, environment: Environment) -> bool:
    own = environment.environment_type is EnvironmentType.INTEGRATION
    return _inactive(frame, environment) and own and environment.branch != frame.project.default_branch


def _can_sleep(frame: Frame, environment: Environment) -> bool:
    return _can_go(frame, environment) and not environment.is_paused


def _sleeps(frame: Frame, environment: Environment) -> bool:
    return environment.is_paused


def _has_parent(frame: Frame, environment: Environment) -> bool:
    return environment.parent_id is not None


BUTTONS = (
    Button(Kind.BRANCH, "environment_branch", "New branch", "git-branch", _always),
    Button(Kind.MERGE, "environment_merge", "Merge", "git-merge", _has_parent),
    Button(Kind.SYNCHRONIZE, "environment_synchronize", "Sync", "arrow-down-to-line", _has_parent),
    Button(Kind.DEACTIVATE, "environment_deactivate", "Deactivate", "power", _can_go, more=True),
    Button(Kind.PAUSE, "environment_pause", "Pause", "pause", _can_sleep, post=True, more=True),
    Button(Kind.REDEPLOY, "environment_redeploy", "Redeploy", "rotate-cw", _active, post=True),
    Button(Kind.BACKUP, "environment_backup", "Back up", "archive", _active, post=True, more=True),
    Button(Kind.DELETE, "environment_delete", "Delete", "trash-2", _can_be_deleted, more=True),
    Button(Kind.RESUME, "environment_resume", "Wake up", "sunrise", _sleeps, post=True, primary=True),
    Button(Kind.ACTIVATE, "environment_activate", "Activate", "play", _inactive, primary=True),
)


def offered(frame: Frame, node: Node) -> list[Button]:
    now = situation(frame, node)
    shown = [button for button in BUTTONS if button.shown(frame, node.environment)]
    return [replace(button, why_not=why_not(node, now, button.kind)) for button in shown]


def why_not(node: Node, now: Situation, kind: Kind) -> str:
    """Empty when the person may and it is possible. The actions decide again: this is for the eye."""
    return node.why_not(NEEDED[kind]) or _why_not_above(node, kind) or possible.why_not(kind, now)


def _why_not_above(node: Node, kind: Kind) -> str:
    """What the person's role on the parent does not allow."""
    if kind not in (Kind.MERGE, Kind.SYNCHRONIZE) or node.environment.parent_id is None:
        return ""
    if node.parent is None:
        return f"You have no access to its parent. Ask an admin of {node.environment.project.title}."
    if kind is Kind.MERGE:
        return node.parent.why_not(merges.needed_on_parent(node.parent.environment))
    return ""


def situation(frame: Frame, node: Node) -> Situation:
    """What the rules look at, of what the frame knows already. Environments that the person does not see have no
    title here."""
    environment = node.environment
    seen = [each for each in frame.nodes if each is not node and takes_a_place(each)]
    own = environment.environment_type is EnvironmentType.INTEGRATION and environment.is_active
    hidden = frame.integration_active - own - sum(each.is_active for each in seen)
    taken = [Use(each.environment.title, each.live_at, each.environment.visited_at) for each in seen]
    return Situation(
        environment=environment,
        project=frame.project,
        children=[child.title for child in node.children],
        open={Kind(node.open_kind)} if node.open_kind else (),
        taken=possible.in_order(taken) + [Use("one that you cannot see", None, None, hidden=True)] * max(hidden, 0),
        live=node.live_number is not None,
        parent=node.parent_title or "its parent",
        ahead=node.ahead,
        behind=node.behind,
        merging=node.merging,
    )


def listing(frame: Frame, node: Node) -> dict[str, dict[str, bool | str]]:
    """For every kind of activity that can be asked for: whether, and why not."""
    now = situation(frame, node)
    reasons = {kind: why_not(node, now, kind) for kind in NEEDED}
    return {
        kind.value.removeprefix("environment."): {"allowed": not reason, "reason": reason}
        for kind, reason in reasons.items()
    }


def takes_a_place(node: Node) -> bool:
    return node.environment_type is EnvironmentType.INTEGRATION and (
        node.is_active or (node.is_busy and node.open_kind == Kind.ACTIVATE)
    )
