"""What people ask of crons and workers: run one now, stop a run, switch crons off and on, restart a worker."""

from django.db import transaction
from django.utils import timezone

from deployments import dispatch, live
from deployments.actions import activities, possible
from deployments.enums import Kind
from deployments.models import Activity, CronRun, Release
from deployments.pipeline.quieting import crons_of
from environments import access
from environments.models import Environment
from portal import audit
from portal.errors import Conflict, Missing
from portal.models import Project, User
from portal.permissions import Permission

RIGHT = activities.NEEDED[Kind.CRON]


def run(
    environment: Environment, *, app: str, cron: str, by: User, address: str = "", retry_of: Activity | None = None
) -> Activity:
    """Run a cron of the release that serves. Raises Missing, Denied, or Conflict when it runs already."""
    access.check(by, environment, RIGHT)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=environment.project_id)
        possible.check(Kind.CRON, environment)
        _check_known(environment, app, cron)
        reason = why_busy(environment, app, cron)
        if reason:
            raise Conflict(reason)
        return activities.create(
            kind=Kind.CRON,
            project=environment.project,
            environment=environment,
            by=by,
            parameters={"app": app, "cron": cron},
            address=address,
            retry_of=retry_of,
        )


def why_busy(environment: Environment, app: str, cron: str) -> str:
    """Why the cron cannot begin now; empty when it can."""
    running = CronRun.objects.running().filter(environment=environment, app=app, cron=cron).first()
    if running is not None:
        return busy(running)
    asked = Activity.objects.open().filter(environment=environment, kind=Kind.CRON)
    if asked.filter(parameters__app=app, parameters__cron=cron).exists():
        return f"Somebody asked for a run of {cron} already. Wait for it or cancel it."
    return ""


def busy(run: CronRun) -> str:
    since = f"{timezone.localtime(run.started_at):%H:%M}"
    return f"{run.cron} runs since {since}. Wait for its end, or stop it."


def stop(run: CronRun, *, by: User, address: str = "") -> None:
    """Ask a run to end: by its stop command or SIGTERM, and SIGKILL when that does not help."""
    environment = run.environment
    access.check(by, environment, RIGHT)
    if not run.is_running:
        raise Conflict("It has ended already; there is nothing to stop.")
    with transaction.atomic():
        audit.record(
            "cron.stop",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            cron=run.cron,
            run=run.pk,
        )
        transaction.on_commit(lambda: dispatch.stop_cron(run.pk, f"Stopped by {by}"))


def enable(environment: Environment, *, enabled: bool, by: User, address: str = "") -> None:
    """Whether the schedule begins runs there. Switching on also wakes crons that sleep for want of deployments."""
    access.check(by, environment, Permission.OPERATE)
    before = environment.crons_allowed
    with transaction.atomic():
        changed = {"crons_enabled": enabled, "crons_kept_at": timezone.now() if enabled else environment.crons_kept_at}
        Environment.objects.filter(pk=environment.pk).update(**changed)
        environment.refresh_from_db()
        audit.record(
            "environment.crons",
            by=by,
            project=environment.project,
            target=environment.title,
            address=address,
            before="on" if before else "off",
            after="on" if enabled else "off",
        )
        transaction.on_commit(lambda: dispatch.align_crons(environment.pk))
        transaction.on_commit(lambda: live.publish(f"project:{environment.project_id}", "cron"))


def restart_worker(environment: Environment, *, name: str, by: User, address: str = "") -> None:
    """End a worker, by SIGTERM and after 15 s SIGKILL, and start it again. Its name is "app--worker"."""
    access.check(by, environment, RIGHT)
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    if release is None or environment.is_paused or name not in workers_of(release):
        raise Missing("The release that serves has no such worker.")
    with transaction.atomic():
        audit.record(
            "worker.restart", by=by, project=environment.project, target=environment.title, address=address, worker=name
        )
        transaction.on_commit(lambda: dispatch.restart_worker(environment.pk, release.number, name))


def workers_of(release: Release) -> list[str]:
    """Full names of the workers of a release."""
    return [
        f"{app}--{name}"
        for app, config in sorted(release.configuration.get("apps", {}).items())
        for name in sorted(config.get("workers") or {})
    ]


def _check_known(environment: Environment, app: str, cron: str) -> None:
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    if release is None or not any((app, cron) == (its, name) for its, name, _ in crons_of(release.configuration)):
        raise Missing("The release that serves has no such cron.")
