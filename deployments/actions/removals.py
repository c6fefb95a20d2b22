"""What Slipway removes by itself: environments that nobody used for as long as was set, and branches that were merged.

Nothing goes without notice: it is announced a day before, on the pages and in the audit log, and can be postponed.
Removing means: deactivated, and then deleted with its branch, unless that could lose something (see `why_stays`).
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import DateTimeField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from deployments import live
from deployments.models import Activity
from environments import access, drift
from environments.models import Environment
from portal import audit
from portal.enums import EnvironmentType
from portal.errors import Conflict, Invalid
from portal.models import User
from portal.permissions import Permission

NOTICE = timedelta(days=1)
POSTPONED = timedelta(days=7)
LIFETIMES = (1, 3, 7, 14, 30)  # days without use
Removal = Environment.Removal


def why_never(environment: Environment) -> str:
    """Why Slipway never removes it by itself; empty when it may."""
    if environment.environment_type is not EnvironmentType.INTEGRATION:
        return f"{environment.environment_type.label} is never removed by Slipway itself."
    if environment.branch == environment.project.default_branch:
        return f"{environment.title} is part of every project and is never removed by Slipway itself."
    return ""


def why_stays(environment: Environment, *, children: int) -> str:
    """Why it would only be deactivated, its branch staying; empty when branch and all would go.

    Told from what is stored; before anything is deleted, Git is asked.
    """
    if children:
        return "it has children"
    parent = environment.parent
    counted = parent is not None and environment.drift_of == drift.pair(environment.head_commit, parent.head_commit)
    if not counted or environment.ahead is None:
        return "it is not known yet whether another branch holds its commits"
    return "no other branch holds its commits" if environment.ahead else ""


def with_use(environments: QuerySet[Environment]) -> QuerySet[Environment]:
    """Annotated with `used_at`: the last deployment, visit, or thing that a person asked of it."""
    asked = Activity.objects.filter(environment=OuterRef("pk"), actor__isnull=False).order_by("-created_at")
    moments = [
        Coalesce(moment, "created_at", output_field=DateTimeField())
        for moment in ("deployed_at", "visited_at", Subquery(asked.values("created_at")[:1]))
    ]
    return environments.annotate(used_at=Greatest("created_at", *moments))


def due_at(environment: Environment) -> datetime | None:
    """When it has been unused for too long; None: never. From `with_use`."""
    if environment.lifetime_days is None:
        return None
    used_at: datetime = environment.used_at  # type: ignore[attr-defined]
    due = used_at + timedelta(days=environment.lifetime_days)
    return max(due, environment.kept_until) if environment.kept_until else due


def set_lifetime(environment: Environment, days: int | None, *, by: User, address: str = "") -> None:
    """How many days without use it lives; None: for ever. Raises Missing, Denied, Invalid (lifetime), Conflict."""
    access.check(by, environment, Permission.OPERATE)
    if days is not None and days not in LIFETIMES:
        raise Invalid("Choose one of the times in the list.", field="lifetime")
    never = why_never(environment)
    if days is not None and never:
        raise Conflict(never)
    with transaction.atomic():
        locked = Environment.objects.select_for_update().get(pk=environment.pk)
        if locked.lifetime_days == days:
            return
        values: dict[str, object] = {"lifetime_days": days, "kept_until": None}
        if locked.removal_reason == Removal.UNUSED:  # announced by the former time: the next round counts anew
            values |= {"removal_at": None, "removal_reason": ""}
        Environment.objects.filter(pk=environment.pk).update(**values)
        audit.record(
            "environment.lifetime",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            before=locked.lifetime_days,
            after=days,
        )
        _tell(environment)
    environment.refresh_from_db()


def keep(environment: Environment, *, by: User, address: str = "") -> None:
    """Take back what was announced, for a week at least. Raises Missing or Denied, Conflict when nothing was."""
    access.check(by, environment, Permission.OPERATE)
    with transaction.atomic():
        until = timezone.now() + POSTPONED
        announced = Environment.objects.filter(pk=environment.pk, removal_at__isnull=False)
        if not announced.update(removal_at=None, removal_reason="", kept_until=until):
            raise Conflict(f"{environment.title} is not about to be removed.")
        audit.record(
            "environment.keep",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            until=until.isoformat(timespec="seconds"),
        )
        _tell(environment)
    environment.refresh_from_db()


def announce(environment: Environment, reason: Removal, at: datetime) -> None:
    """Say that it will be removed then; safe to repeat."""
    with transaction.atomic():
        silent = Environment.objects.filter(pk=environment.pk, removal_at=None)
        if silent.exclude(status=Environment.Status.DELETING).update(removal_at=at, removal_reason=reason):
            audit.record(
                "environment.removal.announce",
                by=None,
                project=environment.project,
                target=environment.title,
                reason=reason.value,
                at=at.isoformat(timespec="seconds"),
            )
            _tell(environment)


def take_back(environment: Environment, why: str) -> None:
    """Announce no more what was announced: it was used, or it cannot be done."""
    with transaction.atomic():
        announced = Environment.objects.filter(pk=environment.pk, removal_at__isnull=False)
        if announced.update(removal_at=None, removal_reason=""):
            audit.record(
                "environment.removal.withdraw", by=None, project=environment.project, target=environment.title, why=why
            )
            _tell(environment)


def after_merge(child: Environment, *, asked: bool) -> str:
    """Announce the removal of a branch that was merged, when its merge or its project asks for that.

    Returns a sentence about it, empty when it stays.
    """
    if not (asked or child.project.delete_merged) or why_never(child):
        return ""
    if child.children.exists():
        return f"{child.title} has children: it stays."
    announce(child, Removal.MERGED, timezone.now() + NOTICE)
    return f"{child.title} and its branch are deleted in a day, unless somebody postpones that on its page."


def _tell(environment: Environment) -> None:
    transaction.on_commit(lambda: live.publish(f"project:{environment.project_id}", "environment"))
