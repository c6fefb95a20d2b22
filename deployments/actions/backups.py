"""Asking for backups, and for what is done with them."""

from django.db import transaction

from deployments import live
from deployments.actions import activities, possible, restoring
from deployments.enums import Kind
from deployments.models import Activity, Backup, BackupPlan
from environments import access
from environments.models import Environment
from portal import audit
from portal.access import check_project
from portal.errors import Conflict, Missing
from portal.models import Project, User
from portal.permissions import Permission

_GONE = "There is no such backup, or you have no access to it."


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


def prove(backup: Backup, *, by: User | None, address: str = "") -> Activity:
    """Prove it once more. Raises Missing or Denied, Conflict when it is not complete."""
    environment = _environment(backup)
    if by is not None:
        access.check(by, environment, Permission.OPERATE)
    _check_stored(backup)
    return activities.create(
        kind=Kind.BACKUP,
        project=backup.project,
        environment=environment,
        by=by,
        parameters={"prove": backup.pk},
        address=address,
    )


def restore(
    backup: Backup, target: Environment, *, by: User, code: bool = True, safety: bool = True, address: str = ""
) -> Activity:
    """Bring the target's data back to that instant, with the backup's release or, without `code`, the branch's head.

    Raises Missing or Denied by the role on the target, Conflict where the data may not go or while it is busy so.
    """
    access.check(by, target, Permission.RESTORE)
    if backup.environment is not None and backup.environment_id != target.pk:
        access.check(by, backup.environment, Permission.SHELL)  # whoever may read that data where it is
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=target.project_id)
        backup.refresh_from_db()
        reason = restoring.why_not(backup, target)
        if reason:
            raise Conflict(reason)
        possible.check(Kind.RESTORE, target)
        commit = backup.commit if code and backup.commit else target.head_commit
        return activities.create(
            kind=Kind.RESTORE,
            project=project,
            environment=target,
            by=by,
            parameters={"backup": backup.pk, "commit": commit, "code": code, "safety": safety},
            address=address,
        )


def pin(backup: Backup, *, pinned: bool, by: User, address: str = "") -> None:
    """Keep it from being thinned out, or no more. Raises Missing or Denied."""
    check_may(backup, by, Permission.OPERATE)
    with transaction.atomic():
        if Backup.objects.filter(pk=backup.pk).exclude(pinned=pinned).update(pinned=pinned):
            _audit("backup.keep" if pinned else "backup.release", backup, by=by, address=address)


def delete(backup: Backup, *, by: User, address: str = "") -> None:
    """Remove it from the store; a worker does so soon. Whoever may restore it may delete it. Raises Missing, Denied,
    Conflict while it is kept or made."""
    check_may(backup, by, Permission.RESTORE)
    backup.refresh_from_db()
    if backup.pinned:
        raise Conflict("This backup is kept. Release it first.")
    _check_stored(backup)
    if Activity.objects.open().filter(kind=Kind.RESTORE, parameters__backup=backup.pk).exists():
        raise Conflict("It is being restored. Wait for that.")
    with transaction.atomic():
        Backup.objects.filter(pk=backup.pk).update(state=Backup.State.REMOVING)
        _audit("backup.delete", backup, by=by, address=address)


def downloaded(backup: Backup, *, by: User, address: str = "") -> None:
    """Record that somebody takes all of it away. Raises Missing or Denied: it needs what reading the data needs."""
    check_may(backup, by, Permission.SHELL)
    _check_stored(backup)
    with transaction.atomic():
        _audit("backup.download", backup, by=by, address=address)


def plan(
    project: Project, environment: Environment | None, *, by: User, address: str = "", **values: int | None
) -> None:
    """Say how often backups are made: of Production (`environment` None), or of one environment; `every_hours` None
    goes back to what the project says. Raises Missing or Denied."""
    if environment is None:
        check_project(by, project, Permission.MANAGE_PROJECT)
    else:
        access.check(by, environment, Permission.OPERATE)
    with transaction.atomic():
        mine = BackupPlan.objects.filter(project=project, environment=environment)
        if values.get("every_hours") is None:
            mine.delete()
        else:
            BackupPlan.objects.update_or_create(project=project, environment=environment, defaults=values)
        title = environment.title if environment else project.title
        audit.record("backup.plan", by=by, project=project, target=title, address=address, plan=values)
        transaction.on_commit(lambda: live.publish(f"project:{project.pk}", "environment"))


def find(environment: Environment, backup_id: str) -> Backup:
    """Raises Missing."""
    found = Backup.objects.select_related("environment__project", "project", "activity")
    backup = found.filter(environment=environment, pk=backup_id).exclude(state=Backup.State.REMOVING).first()
    if backup is None:
        raise Missing(_GONE)
    return backup


def check_may(backup: Backup, by: User, permission: Permission) -> None:
    access.check(by, _environment(backup), permission)


def _environment(backup: Backup) -> Environment:
    if backup.environment is None:
        raise Missing(_GONE)
    return backup.environment


def _check_stored(backup: Backup) -> None:
    if backup.state != Backup.State.STORED:
        raise Conflict("This backup is not complete: it is being made or removed.")


def _audit(action: str, backup: Backup, *, by: User, address: str) -> None:
    audit.record(
        action,
        by=by,
        project=backup.project,
        target=backup.environment_title,
        address=address,
        backup=backup.pk,
    )
    transaction.on_commit(lambda: live.publish(f"project:{backup.project_id}", "environment"))
