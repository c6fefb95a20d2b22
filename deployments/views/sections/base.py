"""What a settings page is made of: cards with a form each, saved by themselves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.http import QueryDict

from deployments.views.frame import Frame
from deployments.views.nodes import Node
from portal.models import Project
from portal.permissions import Permission


@dataclass(frozen=True)
class Place:
    """Whose settings they are: an environment's, or the project's when there is no node."""

    frame: Frame
    node: Node | None = None

    @property
    def project(self) -> Project:
        return self.frame.project

    def why_not(self, right: Permission) -> str:
        """Empty when the person has the right here."""
        if self.node is not None:
            return self.node.why_not(right)
        if self.frame.may(right):
            return ""
        return f"Only admins and owners of {self.project.title} may change this."


class Section(ABC):
    """One card. `key` names it in URLs and is the card's id."""

    key: ClassVar[str]
    title: ClassVar[str]
    lead: ClassVar[str] = ""
    right: ClassVar[Permission]
    button: ClassVar[str] = "Save"
    template: ClassVar[str] = "components/_section.html"

    @abstractmethod
    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        """Bound to `data`, else filled with what is set."""

    @abstractmethod
    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        """Carry out what the valid form asks; returns the sentence that says so. Raises SlipwayError."""

    def why_not(self, place: Place) -> str:
        """Why the person cannot change it here; empty when they can."""
        return place.why_not(self.right)

    def context(self, place: Place) -> dict[str, Any]:
        """What its template needs besides."""
        return {}
