"""How often backups are made by themselves, and how long they are kept."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Q
from django.http import QueryDict

from deployments.actions import backups as actions
from deployments.models import BackupPlan
from deployments.pipeline import backup_rounds
from deployments.pipeline.backup_rounds import Plan
from deployments.views.sections.base import Place, Section
from portal.permissions import Permission

_EVERY = (1, 2, 3, 4, 6, 8, 12, 24, 48, 168)
_KEPT = ("latest", "daily", "weekly", "monthly")


class PlanForm(forms.Form):
    every_hours = forms.TypedChoiceField(label="Make one", coerce=int, empty_value=None)
    latest = forms.IntegerField(label="Keep the latest", min_value=1, max_value=500)
    daily = forms.IntegerField(label="Days to keep one backup of", min_value=0, max_value=366)
    weekly = forms.IntegerField(label="Weeks to keep one backup of", min_value=0, max_value=260)
    monthly = forms.IntegerField(
        label="Months to keep one backup of",
        min_value=0,
        max_value=120,
        help_text="Backups that somebody asked for or keeps stay until they are deleted.",
    )

    def __init__(self, *args: Any, inherit: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        every = self.fields["every_hours"]
        assert isinstance(every, forms.TypedChoiceField)
        choices = [(str(hours), _words(hours)) for hours in _EVERY]
        every.choices = [*([("", inherit)] if inherit else []), ("0", "never"), *choices]
        every.required = not inherit


class ProjectBackups(Section):
    key, title, right = "backups", "Backups of Production", Permission.MANAGE_PROJECT
    lead = "Made by themselves, each proven by restoring it out of sight. An environment's own settings may differ."

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        row = BackupPlan.objects.filter(project=place.project, environment=None).first()
        return PlanForm(data, initial=_initial(row or backup_rounds.USUAL))

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        actions.plan(place.project, None, by=place.frame.user, address=address, **given)
        return "Backups of Production are made by the new plan."


class EnvironmentBackups(Section):
    key, title, right = "backups", "Backups", Permission.OPERATE
    lead = "How often backups of this environment are made by themselves, and which are kept."

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        environment = place.environment
        rows = list(BackupPlan.objects.filter(Q(environment=environment) | Q(project=place.project, environment=None)))
        row = next((each for each in rows if each.environment_id), None)
        now = backup_rounds.plan(environment, row, next((each for each in rows if not each.environment_id), None))
        initial = _initial(row or now) | ({} if row else {"every_hours": ""})
        usual = _words(now.every_hours) if row is None else "as the project says"
        return PlanForm(data, initial=initial, inherit=f"As usual ({usual})" if row is None else "As usual")

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        actions.plan(place.project, place.environment, by=place.frame.user, address=address, **given)
        return "Backups are made by the new plan."


def _initial(plan: BackupPlan | Plan) -> dict[str, Any]:
    return {"every_hours": str(plan.every_hours)} | {name: getattr(plan, name) for name in _KEPT}


def _words(hours: int) -> str:
    if hours == 0:
        return "never"
    return {1: "every hour", 24: "every day", 48: "every 2 days", 168: "every week"}.get(hours, f"every {hours} hours")
