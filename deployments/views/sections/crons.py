from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings

from deployments.actions import crons as actions
from deployments.views.sections.base import Place, Switch
from portal.enums import EnvironmentType
from portal.permissions import Permission


class RunCrons(Switch):
    key, title, right, label = "crons", "Crons", Permission.OPERATE, "Run crons here"
    template = "environments/_run_crons.html"

    def is_on(self, place: Place) -> bool:
        return place.environment.crons_allowed

    def hint(self, place: Place) -> str:
        off = "Off, schedules begin no runs; people can still run a cron by hand."
        days = _idle_days(place)
        return f"{off} On, they sleep once nothing was deployed here for {days} days." if days else off

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        actions.enable(place.environment, enabled=given["on"], by=place.frame.user, address=address)
        return "Crons run by their schedules." if given["on"] else "No schedule begins a run here any more."

    def context(self, place: Place, form: forms.Form) -> dict[str, Any]:
        return {"idle_days": _idle_days(place), "asleep_since": place.environment.crons_asleep_since}


def _idle_days(place: Place) -> int:
    return 0 if place.environment.environment_type is EnvironmentType.PRODUCTION else settings.CRON_IDLE_DAYS
