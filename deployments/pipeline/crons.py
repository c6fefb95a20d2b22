"""Crons between the runtime and the database: runs are taken in, old ones thrown away, and the runtime is told where
the schedule may begin any."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from deployments import live
from deployments.enums import Kind
from deployments.models import Activity, CronRun, Release
from deployments.pipeline import specs
from deployments.pipeline.deployment import secrets_of
from deployments.redaction import Redactor
from environments import runtimes
from environments.models import Environment
from environments.runtimes.base import Runtime
from environments.runtimes.crons import Outcome, Run

_KEPT = 50  # runs of each cron
_COLUMNS = ("ended_at", "outcome", "code", "note", "output")


def take_in_all() -> None:
    runtime = runtimes.get()
    running = set(CronRun.objects.running().values_list("environment", flat=True))
    serving = Release.objects.filter(state=Release.State.LIVE).values("environment")
    for environment in Environment.objects.active().filter(pk__in=serving).select_related("project"):
        align(environment, runtime)
        if environment.pk in running or runtime.crons.runs(specs.place_of(environment)):
            take_in(environment, runtime)


def align(environment: Environment, runtime: Runtime) -> None:
    """Let the runtime know whether the schedule may begin runs there."""
    runtime.crons.allow(specs.place_of(environment), environment.crons_allowed)


def take_in(environment: Environment, runtime: Runtime) -> None:
    """Write down what the runtime knows of runs; it forgets those that have ended and nobody follows. Safe to repeat,
    also side by side."""
    place = specs.place_of(environment)
    with transaction.atomic():
        # One at a time: what somebody else has taken in and is about to make the runtime forget is not read again.
        Environment.objects.select_for_update().filter(pk=environment.pk).first()
        found = runtime.crons.runs(place)
        known = dict(
            CronRun.objects.filter(environment=environment, pk__in=[run.id for run in found]).values_list(
                "pk", "outcome"
            )
        )
        fresh = [run for run in found if run.id not in known or (run.ended and known[run.id] == Outcome.RUNNING)]
        redactor = Redactor(secrets_of(environment)) if any(run.ended for run in fresh) else Redactor()
        rows = [_row(environment, run, runtime, redactor) for run in fresh]
        CronRun.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=_COLUMNS)
        gone = CronRun.objects.running().filter(environment=environment).exclude(pk__in=[run.id for run in found])
        lost = gone.update(outcome=Outcome.LOST, ended_at=timezone.now())
    followed = set(Activity.objects.open().filter(environment=environment, kind=Kind.CRON).values_list("pk", flat=True))
    runtime.crons.forget(place, [run.id for run in found if run.ended is not None and run.id not in followed])
    if rows or lost:
        live.publish(f"project:{environment.project_id}", "cron")


def output_of(run: CronRun, runtime: Runtime) -> str:
    """What it has printed; of one that runs, so far."""
    if not run.is_running:
        return run.output
    data = runtime.crons.output(specs.place_of(run.environment), run.pk)
    return Redactor(secrets_of(run.environment)).text(data.decode("utf-8", "replace").replace("\0", ""))


def prune() -> None:
    """Throw away what is older than the latest runs of its cron, or too old."""
    old = timezone.now() - timedelta(days=settings.CRON_HISTORY_DAYS)
    CronRun.objects.filter(ended_at__lt=old).delete()
    many = CronRun.objects.earlier_of_each(_KEPT).filter(ended_at__isnull=False).values_list("pk", flat=True)
    CronRun.objects.filter(pk__in=list(many[:5000])).delete()


def _row(environment: Environment, run: Run, runtime: Runtime, redactor: Redactor) -> CronRun:
    output = b"" if run.ended is None else runtime.crons.output(specs.place_of(environment), run.id)
    return CronRun(
        id=run.id,
        environment=environment,
        app=run.app,
        cron=run.cron,
        release=run.release,
        trigger=run.trigger,
        by=run.by[:200],
        started_at=datetime.fromtimestamp(run.started, UTC),
        ended_at=None if run.ended is None else datetime.fromtimestamp(run.ended, UTC),
        outcome=run.outcome,
        code=run.code,
        note=run.note[:300],
        # PostgreSQL takes no NUL.
        output=redactor.text(output.decode("utf-8", "replace").replace("\0", "")),
    )


def stop(run_id: str, why: str) -> None:
    run = CronRun.objects.running().select_related("environment").filter(pk=run_id).first()
    if run is not None:
        runtimes.get().crons.stop(specs.place_of(run.environment), run.pk, why=why)


def align_one(environment_id: int) -> None:
    environment = Environment.objects.active().filter(pk=environment_id).first()
    if environment is not None:
        align(environment, runtimes.get())


def restart_worker(environment_id: int, number: int, name: str) -> None:
    """Lost in between, it is started again by the reconciler."""
    environment = Environment.objects.active().filter(pk=environment_id).first()
    if environment is not None:
        runtimes.get().workers.restart(specs.place_of(environment), number, name)
        live.publish(f"project:{environment.project_id}", "cron")
