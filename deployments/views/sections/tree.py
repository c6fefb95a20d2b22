"""Where an environment stands in the tree, and how long it lives."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from deployments.actions import environments as actions
from deployments.actions import removals
from deployments.views.nodes import Node
from deployments.views.sections.base import Place, Section, Switch
from portal.actions import projects
from portal.permissions import Permission


class ParentForm(forms.Form):
    parent = forms.ChoiceField(label="Below")


class Parent(Section):
    key, title, right, button = "parent", "Place in the tree", Permission.OPERATE, "Move"
    lead = (
        "What it inherits comes from its parent, it is merged into its parent, and it takes its parent's code and "
        "data. Nothing that runs changes by moving it, until it is deployed next."
    )

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        assert place.node is not None
        environment, parent = place.environment, place.node.parent
        form = ParentForm(data, initial={"parent": parent.name if parent else ""})
        field = form.fields["parent"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(node.name, node.title) for node in _parents(place)]
        field.help_text = f"{environment.environment_type.label} hangs below {_above(environment.type)}."
        return form

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        parent = place.frame.node(given["parent"]).environment
        actions.reparent(place.environment, parent, by=place.frame.user, address=address)
        return f"It hangs below {parent.title} now."

    def why_not(self, place: Place) -> str:
        if place.environment.parent_id is None:
            return "It is the top of the tree."
        if not _parents(place):
            return "There is no other environment that it could hang below and that you may branch from."
        return super().why_not(place)


def _above(type: str) -> str:
    return {"staging": "Production", "integration": "Staging or Integration"}.get(type, "nothing")


def _parents(place: Place) -> list[Node]:
    everyone = {node.pk: node for node in place.frame.nodes}
    mine = place.environment
    return [node for node in place.frame.branchable if not actions.why_not_below(mine, node, everyone)]


class LifetimeForm(forms.Form):
    lifetime = forms.TypedChoiceField(
        label="Removed when nobody used it for",
        required=False,
        coerce=int,
        empty_value=None,
        choices=[
            ("", "Never"),
            *[(days, f"{days} day" if days == 1 else f"{days} days") for days in removals.LIFETIMES],
        ],
    )


class Lifetime(Section):
    key, title, right = "lifetime", "Time to live", Permission.OPERATE
    lead = (
        "Used means: deployed, visited, or anything that a person asked of it. Its removal is announced a day before, "
        "here and on the project's page, and one click postpones it. It is deactivated, and its branch deleted too "
        "when its parent holds all its commits and it has no children."
    )

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        return LifetimeForm(data, initial={"lifetime": place.environment.lifetime_days or ""})

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        days = given["lifetime"]
        removals.set_lifetime(place.environment, days, by=place.frame.user, address=address)
        return f"It is removed when nobody used it for {days} days." if days else "It lives until somebody removes it."

    def why_not(self, place: Place) -> str:
        return removals.why_never(place.environment) or super().why_not(place)


class Merged(Switch):
    key, title, right, label = "merged", "After a merge", Permission.MANAGE_PROJECT, "Delete branches that were merged"
    lead = (
        "A branch that was merged is deleted a day later with its environment and data. That is announced on its page, "
        "where one click postpones it. Never deleted are Production, Staging, the default branch, what has children "
        "and what was pushed to after the merge."
    )

    def is_on(self, place: Place) -> bool:
        return place.project.delete_merged

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        projects.change(place.project, delete_merged=given["on"], by=place.frame.user, address=address)
        return "Merged branches are deleted." if given["on"] else "Merged branches stay."
