from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from deployments.actions import pausing
from deployments.views.sections.base import Place, Section
from portal.actions import projects
from portal.enums import EnvironmentType
from portal.permissions import Permission

_HOURS = [(0, "Never"), *((hours, f"{hours} hour{'s' if hours > 1 else ''}") for hours in projects.PAUSE_AFTER[1:])]


class PauseForm(forms.Form):
    pause_after = forms.TypedChoiceField(
        label="Pause idle environments after",
        coerce=int,
        choices=_HOURS,
        help_text="Idle: no visitor, no activity and nobody in a shell. The first visitor wakes it, in seconds; "
        "workers and crons sleep with it. A paused environment keeps its place among the active ones.",
    )


class ProjectPause(Section):
    key, title, right = "pause", "Idle environments", Permission.MANAGE_PROJECT
    lead = "For Integration; Staging joins by its own settings, and Production is never paused."

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        return PauseForm(data, initial={"pause_after": place.project.pause_after})

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        hours = given["pause_after"]
        projects.change(place.project, pause_after=hours, by=place.frame.user, address=address)
        return f"Idle environments are paused after {hours} h." if hours else "Idle environments are not paused."


class LifeForm(forms.Form):
    sleeps = forms.BooleanField(label="Pause it when it is idle", required=False)
    health_path = forms.CharField(
        label="Path that says whether it is healthy",
        max_length=200,
        widget=forms.TextInput(attrs={"class": "input-mono", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Asked for each minute. An answer below 500 is healthy; it does not count as a visit.",
    )


class EnvironmentLife(Section):
    key, title, right = "life", "Pause and health", Permission.OPERATE

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        environment = place.environment
        initial = {"sleeps": environment.may_sleep, "health_path": environment.health_path}
        form = LifeForm(data, initial=initial)
        hours = place.project.pause_after
        form.fields["sleeps"].help_text = (
            f"The project pauses what was idle for {hours} h." if hours else "The project pauses nothing as yet."
        )
        if environment.environment_type is EnvironmentType.PRODUCTION:
            del form.fields["sleeps"]
        return form

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        environment = place.environment
        values = dict(given)
        if values.get("sleeps") == environment.may_sleep:
            values.pop("sleeps")  # as usual for its type stays so
        pausing.configure(environment, by=place.frame.user, address=address, **values)
        return "Saved."
