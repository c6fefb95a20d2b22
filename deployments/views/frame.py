"""The frame around every page of a project: its projects, its environment tree, and what the person may do in it.

One object per request. It is also the page's answer to "may this person?": rights come from the same matrix that the
actions check again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from deployments.views import tabs
from deployments.views.nodes import Node
from deployments.views.tabs import Link
from deployments.views.tree import FEW, Tree
from portal.enums import ProjectRole
from portal.errors import Missing
from portal.models import Membership, Project, User
from portal.permissions import PROJECT_MATRIX, Permission
from portal.requests import person


@dataclass
class Frame:
    user: User
    member: Membership
    projects: Sequence[Project]
    tree: Tree
    here: str = ""  # name of the environment that the page is about

    @classmethod
    def load(cls, user: User, project_id: str) -> "Frame":
        """Raises Missing for a stranger to the project."""
        members = list(
            Membership.objects.filter(user=user).select_related("project").order_by("project__title", "project_id")
        )
        member = next((each for each in members if each.project_id == project_id), None)
        if member is None or not user.is_active:
            raise Missing("There is no such project, or you have no access to it.")
        member.user = user
        return cls(user, member, [each.project for each in members], Tree(member))

    @property
    def project(self) -> Project:
        return self.member.project

    @property
    def events_url(self) -> str:
        return reverse("project_events", args=[self.project.pk])

    def may(self, permission: str) -> bool:
        """A right on the project itself."""
        return Permission(permission) in PROJECT_MATRIX[ProjectRole(self.member.role)]

    @property
    def nodes(self) -> Sequence[Node]:
        """Those that the person may see, parents before children."""
        return self.tree.seen

    @property
    def integration_active(self) -> int:
        return self.tree.integration_active

    def node(self, name: str) -> Node:
        """Raises Missing, for an environment that the person may not see as for one that does not exist."""
        node = next((each for each in self.nodes if each.name == name), None)
        if node is None:
            raise Missing("There is no such environment, or you have no access to it.")
        self.tree.fill([node])
        return node

    def node_of(self, environment_id: int | None) -> Node | None:
        node = next((each for each in self.nodes if each.pk == environment_id), None)
        self.tree.fill([node] if node else [])
        return node

    @cached_property
    def rows(self) -> list[Node]:
        """What runs, what is on the way to it, and what every project has; the rest is folded away."""
        return [node for node in self.nodes if node.stands_out]

    @cached_property
    def inactive(self) -> list[Node]:
        return [node for node in self.nodes if not node.stands_out]

    @property
    def inactive_first(self) -> list[Node]:
        """Those of them that a page names: the first, and the one that it is about."""
        return [each for at, each in enumerate(self.inactive) if at < FEW or each.name == self.here]

    @cached_property
    def roots(self) -> list[Node]:
        """The trees that `rows` make."""
        return [node for node in self.rows if node.depth == 0]

    @property
    def here_inactive(self) -> bool:
        return any(node.name == self.here for node in self.inactive)

    @property
    def default_parent(self) -> Node | None:
        """Where a new branch begins unless another is chosen: the default branch, when the person may branch there."""
        usual = (node for node in self.branchable if node.branch == self.project.default_branch)
        return next(usual, self.branchable[0] if self.branchable else None)

    @cached_property
    def branchable(self) -> list[Node]:
        return [node for node in self.nodes if Permission.BRANCH in node.allowed]


@dataclass(frozen=True)
class Crumb:
    title: str
    url: str = ""


def page(
    request: HttpRequest,
    template: str,
    frame: Frame,
    *crumbs: Crumb,
    status: int = 200,
    place: str = "",
    here: str = "",
    tabs: Sequence[Link] = (),
    **context: Any,
) -> HttpResponse:
    """Render a page of a project inside its frame. `here` is the name of the environment that the page is about."""
    project, frame.here = frame.project, here
    trail = [Crumb(project.title, reverse("project", args=[project.pk])), *crumbs]
    shared = {"project": project, "sidebar": frame, "crumbs": trail, "place": place, "here": here, "tabs": tabs}
    return render(request, template, {**shared, **context}, status=status)


def environment_page(
    request: HttpRequest, template: str, frame: Frame, node: Node, *crumbs: Crumb, tab: str, **context: Any
) -> HttpResponse:
    """Render one of the pages about an environment. `tab` is the name of the page's URL, see tabs.TABS."""
    environment = node.environment
    trail = [Crumb(environment.title, node.url if crumbs else ""), *crumbs]
    shared = {"node": node, "environment": environment, "tabs": tabs.of(node, tab), "here": environment.name}
    return page(request, template, frame, *trail, **{**shared, **context})


def load(request: HttpRequest, project_id: str) -> Frame:
    return Frame.load(person(request), project_id)
