"""What a settings page is made of: cards with a form each, saved by themselves."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest, QueryDict

from deployments.views import frame
from deployments.views.frame import Frame
from deployments.views.nodes import Node
from environments.models import Environment
from portal.models import Project
from portal.permissions import Permission


@dataclass(frozen=True)
class Place:
    """Whose settings they are: an environment's, or the project's when there is no node."""

    frame: Frame
    node: Node | None = None

    @classmethod
    def of(cls, request: HttpRequest, project_id: str, name: str = "") -> "Place":
        """What a URL means, with the name of an environment or without one. Raises Missing."""
        framed = frame.load(request, project_id)
        return cls(framed, framed.node(name) if name else None)

    @property
    def kind(self) -> str:
        """How the names of its URLs begin."""
        return "environment" if self.node else "project"

    @property
    def arguments(self) -> list[str]:
        """What its URLs take."""
        return [self.project.pk, *([self.node.name] if self.node else [])]

    @property
    def environment_or_none(self) -> Environment | None:
        return self.node.environment if self.node else None

    @property
    def environment(self) -> Environment:
        assert self.node is not None, "a place of an environment"
        return self.node.environment

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

    def context(self, place: Place, form: forms.Form) -> dict[str, Any]:
        """What its template needs besides. The form is the one that `form` made."""
        return {}


class SwitchForm(forms.Form):
    on = forms.BooleanField(required=False)


class Switch(Section):
    """A card with one box to tick."""

    label: ClassVar[str]

    @abstractmethod
    def is_on(self, place: Place) -> bool:
        """As it is now."""

    def hint(self, place: Place) -> str:
        return ""

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        form = SwitchForm(data, initial={"on": self.is_on(place)}, auto_id=f"{self.key}-%s")  # a page has several
        form.fields["on"].label, form.fields["on"].help_text = self.label, self.hint(place)
        return form
