"""What is done about backups by itself: made on time, thinned out, proven, looked for, removed."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max, Q
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


def overdue(environment: Environment, plan: Plan, last: datetime | None) -> bool:
    """Whether its plan asks for backups and the last one is too old."""
    if not plan.every_hours or not environment.is_active:
        return False
    since = last or environment.deployed_at or environment.created_at
    return since < timezone.now() - timedelta(hours=_LATE * plan.every_hours)


def alarms(environments: Iterable[Environment]) -> dict[int, str]:
    """What is wrong with the backups of these, in one sentence each; three queries however many there are."""
    listed = list(environments)
    wanted = plans(listed)
    newest, bad = {}, {}
    usable = Q(state=Backup.State.STORED, missing_since=None) & ~Q(proof=Backup.Proof.FAILED)
    broken = Q(state=Backup.State.STORED) & (Q(missing_since__isnull=False) | Q(proof=Backup.Proof.FAILED))
    rows = Backup.objects.filter(environment__in=listed).order_by().values("environment")
    for row in rows.annotate(last=Max("created_at", filter=usable), broken=Count("pk", filter=broken)):
        newest[row["environment"]], bad[row["environment"]] = row["last"], row["broken"]
    found = {}
    for each in listed:
        if bad.get(each.pk):
            many = bad[each.pk]
            found[each.pk] = f"{many} backup{'' if many == 1 else 's'} of {each.title} cannot be relied on"
        elif overdue(each, wanted[each.pk], newest.get(each.pk)):
            found[each.pk] = f"The backup of {each.title} is overdue"
    return found


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
