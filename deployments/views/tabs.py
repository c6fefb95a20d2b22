"""The pages about one environment, in the order in which they stand above each of them."""

from dataclasses import dataclass

from django.urls import reverse

from deployments.views.nodes import Node


@dataclass(frozen=True)
class Tab:
    view: str  # name of its URL, which takes the project's id and the environment's name
    label: str


TABS = (
    Tab("environment", "Overview"),
    Tab("environment_health", "Health"),
    Tab("environment_crons", "Crons & workers"),
    Tab("environment_logs", "Logs"),
    Tab("environment_routes", "Routes"),
    Tab("environment_mail", "Mail"),
    Tab("environment_backups", "Backups"),
    Tab("environment_variables", "Variables"),
    Tab("environment_files", "Files"),
    Tab("environment_settings", "Settings"),
)


@dataclass(frozen=True)
class Link:
    label: str
    url: str
    here: bool


def of(node: Node, view: str) -> list[Link]:
    """`view` is the name of the URL that is shown."""
    arguments = [node.environment.project_id, node.environment.name]
    return [Link(tab.label, reverse(tab.view, args=arguments), tab.view == view) for tab in TABS]
