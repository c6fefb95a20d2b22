import zoneinfo
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from deployments.actions import environments as actions
from deployments.views.sections.base import Place, Section
from environments import names
from portal import titles
from portal.actions import projects
from portal.permissions import Permission


class TitleForm(forms.Form):
    title = forms.CharField(label="Title", max_length=names.MAX_BRANCH_BYTES)


class EnvironmentTitle(Section):
    key, title, right = "title", "Title", Permission.OPERATE
    lead = "What people see. The branch, the id and the URL keep their names."

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        return TitleForm(data, initial={"title": place.environment.title})

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        actions.rename(place.environment, title=given["title"], by=place.frame.user, address=address)
        return "The environment has its new title."


class ProjectForm(forms.Form):
    title = forms.CharField(label="Title", max_length=titles.MAX)
    timezone = forms.ChoiceField(
        label="Time zone", choices=[(name, name) for name in sorted(zoneinfo.available_timezones())]
    )
    limit = forms.IntegerField(
        label="Active Integration environments, at most",
        min_value=1,
        max_value=projects.MOST_ACTIVE,
        help_text="Staging and Production do not count. Those that are active already stay so.",
    )


class ProjectGeneral(Section):
    key, title, right = "general", "General", Permission.MANAGE_PROJECT

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        project = place.project
        set_now = {
            "title": project.title,
            "timezone": project.timezone,
            "limit": project.max_active_integration,
        }
        return ProjectForm(data, initial=set_now)

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        projects.change(
            place.project,
            title=given["title"],
            timezone=given["timezone"],
            max_active_integration=given["limit"],
            by=place.frame.user,
            address=address,
        )
        return "The project's settings are saved."
