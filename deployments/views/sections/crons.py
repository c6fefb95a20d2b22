from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.http import QueryDict

from deployments.actions import crons as actions
from deployments.views.sections.base import Place, Section
from portal.enums import EnvironmentType
from portal.permissions import Permission


class CronsForm(forms.Form):
    enabled = forms.BooleanField(label="Run crons here", required=False)


class RunCrons(Section):
    key, title, right = "crons", "Crons", Permission.OPERATE
    template = "environments/_run_crons.html"

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        assert place.node is not None
        return CronsForm(data, initial={"enabled": place.node.environment.crons_allowed})

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        assert place.node is not None
        actions.enable(place.node.environment, enabled=given["enabled"], by=place.frame.user, address=address)
        return "Crons run by their schedules." if given["enabled"] else "No schedule begins a run here any more."

    def context(self, place: Place) -> dict[str, Any]:
        assert place.node is not None
        environment = place.node.environment
        sleeps = environment.environment_type is not EnvironmentType.PRODUCTION
        return {"idle_days": settings.CRON_IDLE_DAYS if sleeps else 0, "asleep_since": environment.crons_asleep_since}
