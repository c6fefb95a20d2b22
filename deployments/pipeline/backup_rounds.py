"""What is done about backups by itself: made on time, thinned out, proven, looked for, removed."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Now
from django.utils import timezone

from deployments.actions import backups as actions
from deployments.enums import Kind
from deployments.models import Activity, Backup, BackupPlan
from deployments.pipeline import taking
from environments.backups import manifest, store
from environments.backups.archive import Damaged
from environments.backups.store import StoreFailure
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.errors import SlipwayError

_LOOKED_AT_ONCE = 20
_REMOVED_AT_ONCE = 5
_UNPROVEN = timedelta(minutes=15)  # a backup that was made for safety is proven when the hurry is over
_LATE = 2  # times the interval, after which a backup is overdue

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    every_hours: int
    latest: int = 8
    daily: int = 7
    weekly: int = 4
    monthly: int = 6


USUAL, NONE = Plan(6), Plan(0)


def plans(environments: Iterable[Environment]) -> dict[int, Plan]:
    """What holds for each of them, by primary key; one query."""
    listed = list(environments)
    rows = list(BackupPlan.objects.filter(project__in={each.project_id for each in listed}))
    own = {row.environment_id: row for row in rows if row.environment_id}
    shared = {row.project_id: row for row in rows if row.environment_id is None}
    return {each.pk: plan(each, own.get(each.pk), shared.get(each.project_id)) for each in listed}


def plan(environment: Environment, own: BackupPlan | None, shared: BackupPlan | None) -> Plan:
    """What holds for it, by its own row and its project's."""
    production = environment.environment_type is EnvironmentType.PRODUCTION
    row = own or (shared if production else None)
    return _plan(row) if row else USUAL if production else NONE


def make_due() -> None:
    """Ask for a backup of each active environment whose last one is older than its plan says."""
    active = list(Environment.objects.active().select_related("project"))
    wanted = plans(active)
    newest = _newest(Backup.objects.filter(environment__in=[pk for pk, plan in wanted.items() if plan.every_hours]))
    busy = set(Activity.objects.open().filter(kind=Kind.BACKUP).values_list("environment", flat=True))
    for environment in active:
        hours = wanted[environment.pk].every_hours
        # A failed one is not tried again at once: its activity is what was begun last.
        last = max(filter(None, (newest.get(environment.pk), _asked(environment))), default=None)
        due = last is None or last < timezone.now() - timedelta(hours=hours)
        if hours and due and environment.pk not in busy:
            try:
                actions.create(environment, by=None, reason=Backup.Reason.SCHEDULED)
            except SlipwayError as error:
                logger.info("%s is not backed up now: %s", environment, error)


def prove_unproven() -> None:
    """One at a time: each takes as long as a restore."""
    waiting = Backup.objects.stored().filter(proof="", missing_since=None, created_at__lt=timezone.now() - _UNPROVEN)
    busy = Activity.objects.open().filter(environment__isnull=False).values("environment")
    backup = waiting.filter(environment__isnull=False).exclude(environment__in=busy).order_by("created_at").first()
    if backup is not None:
        actions.prove(backup, by=None)


def thin_out() -> None:
    """Those made by themselves, by the plan of their environment; what somebody asked for or keeps stays."""
    ours = Backup.objects.stored().filter(pinned=False).exclude(reason=Backup.Reason.ASKED)
    for environment in Environment.objects.filter(backups__in=ours).distinct():
        plan = plans([environment])[environment.pk]
        listed = list(ours.filter(environment=environment).order_by("-created_at"))
        proven = Backup.objects.stored().filter(environment=environment, proof=Backup.Proof.PROVEN)
        last = proven.order_by("-created_at").values_list("pk", flat=True).first()
        keep = kept(listed, plan if plan.every_hours else USUAL) | {last}
        for backup in listed:
            if backup.pk not in keep:
                Backup.objects.filter(pk=backup.pk).update(state=Backup.State.REMOVING)


def kept(backups: Sequence[Backup], plan: Plan) -> set[str]:
    """The latest, and the newest of each of the last days, weeks and months that have one. Newest first."""
    keep = {backup.pk for backup in backups[: plan.latest]}
    spans: tuple[tuple[int, Callable[[datetime], tuple[int, ...]]], ...] = (
        (plan.daily, lambda at: (at.year, at.month, at.day)),
        (plan.weekly, lambda at: at.isocalendar()[:2]),
        (plan.monthly, lambda at: (at.year, at.month)),
    )
    for count, span in spans:
        seen: list[tuple[int, ...]] = []
        for backup in backups:
            at = span(backup.created_at)
            if at not in seen and len(seen) < count:
                seen.append(at)
                keep.add(backup.pk)
    return keep


def remove() -> None:
    restoring = Activity.objects.open().filter(kind=Kind.RESTORE).values_list("parameters__backup", flat=True)
    for backup in Backup.objects.filter(state=Backup.State.REMOVING).exclude(pk__in=list(restoring))[:_REMOVED_AT_ONCE]:
        taking.drop(backup)


def look() -> None:
    """Whether the files of stored backups are still there, whole by their size; those not looked at longest first."""
    for backup in Backup.objects.stored().order_by("looked_at", "created_at")[:_LOOKED_AT_ONCE]:
        try:
            gone = _is_gone(backup)
        except StoreFailure as error:
            logger.warning("%s", error)
            return
        since = (backup.missing_since or timezone.now()) if gone else None
        Backup.objects.filter(pk=backup.pk).update(looked_at=Now(), missing_since=since)
        if bool(since) != bool(backup.missing_since):
            taking.tell(backup)


def alarms(environments: Iterable[Environment]) -> dict[int, str]:
    """What is wrong with the backups of these, in one sentence each; one query however many there are."""
    listed = {each.pk: each for each in environments}
    rows = Environment.objects.filter(pk__in=listed).order_by().values("pk").annotate(**alarm_columns("pk", "project"))
    found = {row["pk"]: alarm(listed[row["pk"]], row) for row in rows}
    return {pk: found[pk] for pk in listed if found.get(pk)}


def alarm_columns(environment: str, project: str) -> dict[str, Any]:
    """What `alarm` looks at, for a query whose rows name an environment and its project in these columns."""
    mine = Backup.objects.stored().filter(environment=OuterRef(environment)).order_by()
    bad = mine & Backup.objects.bad()
    usable = mine.filter(missing_since=None).exclude(proof=Backup.Proof.FAILED)
    own = BackupPlan.objects.filter(environment=OuterRef(environment))
    shared = BackupPlan.objects.filter(project=OuterRef(project), environment=None)
    return {
        "backups_bad": Subquery(bad.values("environment").annotate(all=Count("pk")).values("all")),
        "backups_last": Subquery(usable.order_by("-created_at").values("created_at")[:1]),
        "backups_own": Subquery(own.values("every_hours")[:1]),
        "backups_shared": Subquery(shared.values("every_hours")[:1]),
    }


def alarm(environment: Environment, row: Mapping[str, Any]) -> str:
    """What is wrong with its backups, by its `alarm_columns`; empty when nothing is."""
    many = row["backups_bad"] or 0
    if many:
        return f"{many} backup{'' if many == 1 else 's'} of {environment.title} cannot be relied on"
    production = environment.environment_type is EnvironmentType.PRODUCTION
    usual = (USUAL.every_hours if row["backups_shared"] is None else row["backups_shared"]) if production else 0
    hours = usual if row["backups_own"] is None else row["backups_own"]
    if not hours or not environment.is_active:
        return ""
    since = row["backups_last"] or environment.deployed_at or environment.created_at
    late = since < timezone.now() - timedelta(hours=_LATE * hours)
    return f"The backup of {environment.title} is overdue" if late else ""


def _is_gone(backup: Backup) -> bool:
    try:
        contents = manifest.read(backup.project_id, backup.pk, backup.manifest)
    except Damaged:
        return True
    names = {store.path(contents.project, contents.backup, part.file): part.size for part in contents.parts}
    return any(store.size(name) != size for name, size in names.items())


def _newest(backups: "Iterable[Backup]") -> dict[int, datetime]:
    found: dict[int, datetime] = {}
    for backup in backups:
        if backup.environment_id is not None:
            found[backup.environment_id] = max(found.get(backup.environment_id, backup.created_at), backup.created_at)
    return found


def _asked(environment: Environment) -> datetime | None:
    asked = Activity.objects.filter(environment=environment, kind=Kind.BACKUP, parameters__reason="scheduled")
    return asked.order_by("-created_at").values_list("created_at", flat=True).first()


def _plan(row: BackupPlan) -> Plan:
    return Plan(row.every_hours, row.latest, row.daily, row.weekly, row.monthly)
