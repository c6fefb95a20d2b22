"""The buttons of an environment's page: which there are, and why one of them cannot be pressed."""

from dataclasses import dataclass, replace

from deployments.views.frame import Frame
from deployments.views.nodes import Node
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.permissions import Permission


@dataclass(frozen=True)
class Button:
    view: str  # name of its URL
    label: str
    icon: str
    right: Permission
    post: bool = False  # acts at once; the others open a page
    primary: bool = False
    why_not: str = ""


BRANCH = Button("environment_branch", "New branch", "git-branch", Permission.BRANCH)
DEACTIVATE = Button("environment_deactivate", "Deactivate", "power", Permission.OPERATE)
REDEPLOY = Button("environment_redeploy", "Redeploy", "rotate-cw", Permission.OPERATE, post=True)
DELETE = Button("environment_delete", "Delete", "trash-2", Permission.DELETE)
ACTIVATE = Button("environment_activate", "Activate", "play", Permission.OPERATE, post=True, primary=True)


def offered(frame: Frame, node: Node) -> list[Button]:
    environment = node.environment
    integration = environment.environment_type is EnvironmentType.INTEGRATION
    shown = [BRANCH]
    if environment.is_active:
        if environment.environment_type is not EnvironmentType.PRODUCTION:
            shown.append(DEACTIVATE)
        shown.append(REDEPLOY)
    elif environment.status == Environment.Status.INACTIVE:
        if integration and environment.branch != frame.project.default_branch:
            shown.append(DELETE)
        shown.append(ACTIVATE)
    return [replace(button, why_not=_why_not(frame, node, button)) for button in shown]


def _why_not(frame: Frame, node: Node, button: Button) -> str:
    """Empty when it can be pressed. The actions decide again: this is for the eye."""
    reason = node.why_not(button.right)
    if reason:
        return reason
    project, environment = frame.project, node.environment
    full = frame.integration_active >= project.max_active_integration
    if button is ACTIVATE and environment.environment_type is EnvironmentType.INTEGRATION and full:
        return (
            f"{project.title} has {frame.integration_active} active Integration environments, which is its limit. "
            "Deactivate one first."
        )
    if button is DELETE and node.children:
        return (
            f"It has children ({', '.join(child.environment.title for child in node.children[:5])}). Delete them first."
        )
    return ""
