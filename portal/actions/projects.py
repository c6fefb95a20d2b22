"""Changing what a project is called and how much of it there may be."""

import zoneinfo
from typing import Any

from django.db import transaction

from portal import audit, titles
from portal.access import check_project
from portal.errors import Invalid
from portal.models import Project, User
from portal.permissions import Permission

PAUSE_AFTER = (0, 1, 4, 12, 24)  # hours; 0: never
MOST_ACTIVE = 200  # Integration environments at once; a host holds no more


def change(project: Project, *, by: User, address: str = "", **values: Any) -> None:
    """Set fields of the project, all or none. Raises Missing or Denied by the role, Invalid naming the field."""
    check_project(by, project, Permission.MANAGE_PROJECT)
    if "title" in values:
        values["title"] = titles.check(values["title"])
    if "timezone" in values and values["timezone"] not in zoneinfo.available_timezones():
        raise Invalid(
            f"{values['timezone'][:64]} is not a time zone. Take one such as Europe/Berlin.", field="timezone"
        )
    if not 1 <= values.get("max_active_integration", 1) <= MOST_ACTIVE:
        raise Invalid(f"Between 1 and {MOST_ACTIVE} can be active at once.", field="limit")
    if values.get("pause_after", 0) not in PAUSE_AFTER:
        raise Invalid("Environments are paused after 1, 4, 12 or 24 hours, or never.", field="pause_after")
    with transaction.atomic():
        before = Project.objects.select_for_update().get(pk=project.pk)
        changed = {name: value for name, value in values.items() if getattr(before, name) != value}
        if not changed:
            return
        Project.objects.filter(pk=project.pk).update(**changed)
        told = {name: {"before": getattr(before, name), "after": value} for name, value in changed.items()}
        audit.record("project.change", by=by, project=project, target=project.title, address=address, changes=told)
    project.refresh_from_db()
