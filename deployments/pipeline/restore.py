"""A restore: the backup is checked before anything is touched, what is there now is backed up, then a deployment of the
backup's release takes its data in. What it replaces is kept aside until the restored release has answered."""

from functools import partial

from django.conf import settings

from deployments import state
from deployments.actions import restoring
from deployments.enums import Fault
from deployments.models import Activity, Backup
from deployments.pipeline import backup as backing_up
from deployments.pipeline import deploy, specs
from deployments.pipeline.context import Context, Part, Procedure
from deployments.pipeline.deployment import Deployment
from deployments.pipeline.failures import Failure
from deployments.pipeline.taking import Taking
from environments.backing import files
from environments.backups import archive, manifest, store
from environments.backups.archive import Damaged
from environments.backups.manifest import Contents
from environments.manifest.support import placement
from environments.models import Environment
from environments.process import Watch
from environments.runtimes.base import Runtime

_DATA = ("services", "crons", "start")  # the first of these finds its data in place
_PATIENCE = 300.0  # seconds for the services to come back


class Restoring:
    """What this worker knows of the backup."""

    def __init__(self, context: Context) -> None:
        found = Backup.objects.stored().filter(pk=context.activity.parameters["backup"], project=context.project)
        backup = found.select_related("environment").first()
        if backup is None:
            raise Failure("backup-gone", "The backup is gone. Nothing was changed.")
        self.backup = backup
        self._contents: Contents | None = None

    @property
    def contents(self) -> Contents:
        if self._contents is None:
            self._contents = manifest.read(self.backup.project_id, self.backup.pk, self.backup.manifest)
        return self._contents


def _parts(context: Context) -> list[Part]:
    rest = deploy.parts(context)
    at = next((index for index, part in enumerate(rest) if part.name in _DATA), len(rest))
    deployment = context.keep(Deployment)
    own = [Part("fetch", "Fetch the data", partial(_fetch, deployment=deployment))]
    if context.activity.parameters.get("safety") and context.environment.is_active:
        own.insert(0, Part("safety", "Back up what is there now", _safety))
    verify = Part("verify", "Check the backup", _verify)
    discard = Part("discard", "Remove the data it replaced", _discard, cancellable=False)
    return [verify, *rest[:at], *own, *rest[at:], discard]


def _verify(context: Context) -> str | None:
    found = context.keep(Restoring)
    context.heading(f"Checking the backup of {found.backup.environment_title}")
    reason = restoring.why_not(found.backup, context.environment)  # people and places may have changed since
    if reason:
        raise Failure("restore-refused", reason)
    contents = found.contents
    for part in contents.parts:
        name = store.path(contents.project, contents.backup, part.file)
        archive.verify(name, part.sha256, part.size, check=context.check)
        context.say(f"{part.name}: {part.size / 1024**2:,.1f} MB, checksum as recorded")
    return None


def _safety(context: Context) -> str | None:
    context.heading(f"Backing up {context.environment.title} as it is now")
    taking = context.keep(_taking)
    note = taking.copy()
    taking.store()
    return note


def _taking(context: Context) -> Taking:
    return Taking(context, Backup.Reason.SAFETY)


def _fetch(context: Context, deployment: Deployment) -> str | None:
    contents = context.keep(Restoring).contents
    incoming = context.runtime.incoming(specs.place_of(context.environment))
    fresh = incoming.with_name(f"{incoming.name}.new")
    context.heading("Fetching the data")
    for old in (fresh, incoming):
        context.runtime.throw_away(old)
    fresh.mkdir(mode=0o700, parents=True)
    for part in contents.parts:
        if part.kind == "service" and not _fits(context, deployment, part.name, (part.engine, part.version)):
            continue
        folder = fresh / part.folder
        archive.unpack(store.path(contents.project, contents.backup, part.file), folder, check=context.check)
        if files.measure(folder) != (part.files, part.bytes):
            raise Damaged(f"{part.name} is not what was backed up.")
        context.say(f"{part.name}: {part.files:,} files, {part.bytes / 1024**2:,.1f} MB")
    fresh.rename(incoming)
    return None


def _fits(context: Context, deployment: Deployment, name: str, was: tuple[str, str]) -> bool:
    asked = deployment.manifest.services.get(name)
    if asked is None:
        context.say(f"{name} is left out: the release that is restored has no such service")
        return False
    place = placement(asked, context.runtime.engines())
    if place != was:
        here = " ".join(place) if place else "not installed"
        raise Failure(
            "restore-engine",
            f"{name} was backed up from {' '.join(was)}, but it is {here} here, which cannot read its files.",
            fault=Fault.PLATFORM,
        )
    return True


def _discard(context: Context) -> str | None:
    backup, environment = context.keep(Restoring).backup, context.environment
    context.runtime.discard_aside(specs.place_of(environment))
    origin = "Backup" if backup.environment_id == environment.pk else f"Backup of {backup.environment_title}"
    with state.fenced(context.activity):
        told = {"data_source": origin[:200], "data_at": backup.at}
        Environment.objects.filter(pk=environment.pk).update(**told)
    context.outcome = f"Restored: {environment.title} is as it was at {backup.at:%-d %B %Y, %H:%M:%S} UTC."
    return None


def _undo(activity: Activity, runtime: Runtime) -> None:
    """Until the restored release is live, the data that was there serves again."""
    deploy.undo(activity, runtime)
    backing_up.undo(activity, runtime)
    environment = activity.environment
    if environment is None or deploy.resumes(activity):
        return
    environment.refresh_from_db(fields=["status", "paused_at"])
    if environment.is_active:
        give_back(environment, runtime)
    runtime.throw_away(settings.HOME.snapshot(activity.pk))


def give_back(environment: Environment, runtime: Runtime) -> None:
    place, services = specs.place_of(environment), list(specs.service_specs(environment).values())
    if runtime.keeps_aside(place):
        runtime.give_back(place, services)
    if not environment.is_paused:
        for spec in services:
            runtime.provision(spec, Watch(output=lambda _: None, total=_PATIENCE))


PROCEDURE = Procedure(parts=_parts, resumes=deploy.resumes, undo=_undo)
