"""Asking for backups, and for what is done with them."""

from deployments.actions import activities, possible
from deployments.enums import Kind
from deployments.models import Activity, Backup
from environments import access
from environments.models import Environment
from portal.models import User
from portal.permissions import Permission


def create(
    environment: Environment,
    *,
    by: User | None,
    address: str = "",
    reason: Backup.Reason = Backup.Reason.ASKED,
    note: str = "",
) -> Activity:
    """Back up all services and mounts, of one instant. Raises Missing or Denied, Conflict on an inactive one."""
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    possible.check(Kind.BACKUP, environment)
    return activities.create(
        kind=Kind.BACKUP,
        project=environment.project,
        environment=environment,
        by=by,
        parameters={"reason": reason.value, "note": note[:200]},
        address=address,
    )
