"""Putting an environment to sleep and waking it: its processes stop, its data, release and addresses stay."""

from typing import Any

from django.db import transaction

from deployments import live
from deployments.actions import activities, possible
from deployments.enums import Kind
from deployments.models import Activity
from environments import access
from environments.models import Environment
from portal import audit
from portal.enums import EnvironmentType
from portal.errors import Invalid
from portal.models import Project, User
from portal.permissions import Permission

# What ends with an environment that runs: whoever finds one of them open need not ask for another.
WAKING = (Kind.RESUME, Kind.ACTIVATE, Kind.REDEPLOY, Kind.PUSH)


def pause(environment: Environment, *, by: User | None, because: str = "", address: str = "") -> Activity:
    """Stop what runs until somebody comes. `because`: "idle" or "disk", when Slipway asks.

    Raises Missing or Denied by the role, Conflict when that is not possible.
    """
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=environment.project_id)
        if by is not None:
            access.check(by, environment, Permission.OPERATE)
        possible.check(Kind.PAUSE, environment)
        return activities.create(
            kind=Kind.PAUSE,
            project=project,
            environment=environment,
            by=by,
            parameters={"because": because} if because else {},
            address=address,
        )


def resume(environment: Environment, *, by: User, address: str = "") -> Activity:
    """Wake it; what wakes it already is as good. Whoever may see it may. Raises Conflict when it is not paused."""
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        access.check(by, environment, Permission.SEE)
        coming = _coming(environment)
        if coming is not None and environment.is_paused:
            return coming
        possible.check(Kind.RESUME, environment)
        return _ask(environment, by=by, address=address)


def wake(environment: Environment, *, address: str = "") -> Activity | None:
    """As a visitor who was admitted does by coming: the activity that wakes it, asked for once however many come.

    None when it is awake.
    """
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        coming = _coming(environment)
        if coming is not None or possible.why_not(Kind.RESUME, possible.look(environment)):
            return coming
        return _ask(environment, by=None, address=address)


def configure(environment: Environment, *, by: User, address: str = "", **values: Any) -> None:
    """Set whether it `sleeps` when idle and its `health_path`. Raises Missing or Denied by the role, Invalid."""
    access.check(by, environment, Permission.OPERATE)
    if values.get("sleeps") and environment.environment_type is EnvironmentType.PRODUCTION:
        raise Invalid("Production is never paused.", field="sleeps")
    path = values.get("health_path", "/")
    if not path.startswith("/") or len(path) > 200 or not path.isascii() or not path.isprintable() or " " in path:
        raise Invalid(
            "Give a path such as /health: ASCII, without spaces, at most 200 characters.", field="health_path"
        )
    changed = {name: value for name, value in values.items() if getattr(environment, name) != value}
    if not changed:
        return
    with transaction.atomic():
        Environment.objects.filter(pk=environment.pk).update(**changed)
        audit.record(
            "environment.change",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            changes={name: {"before": getattr(environment, name), "after": value} for name, value in changed.items()},
        )
        transaction.on_commit(lambda: live.publish(f"project:{environment.project_id}", "environment"))
    environment.refresh_from_db()


def _coming(environment: Environment) -> Activity | None:
    """What will wake it already; `environment` is read again."""
    environment.refresh_from_db()
    asked = Activity.objects.open().filter(environment=environment, kind__in=WAKING).order_by("sequence")
    return asked.first() if environment.is_active else None


def _ask(environment: Environment, *, by: User | None, address: str) -> Activity:
    return activities.create(
        kind=Kind.RESUME,
        project=environment.project,
        environment=environment,
        by=by,
        actor_name="" if by else "A visitor",
        address=address,
    )
