"""What lies or runs somewhere and belongs to nothing any more."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from django.conf import settings

from deployments.enums import State
from deployments.models import Activity, Backup, Release
from deployments.pipeline import specs, taking
from deployments.pipeline.reconciling.finding import Finding
from environments import edge
from environments.models import Environment, Host, Service
from environments.runtimes.base import Runtime
from portal.models import Project

_SETTLING = 60.0  # seconds that something on disk must be unchanged before it counts as left behind
_SLUGS_KEPT = 10  # of the latest releases of each environment
_SLUG_AGE = 24 * 3600.0


def strays(runtime: Runtime) -> Iterable[Finding]:
    """Programs, services and folders of environments that do not exist, or of services that they do not have."""
    services: dict[int, set[str]] = {}
    for key, name in Service.objects.values_list("environment", "name"):
        services.setdefault(key, set()).add(name)
    # An environment at which an activity works may have more by now than its rows said a moment ago.
    busy = set(Activity.objects.filter(state=State.RUNNING).values_list("environment", flat=True))
    rows = Environment.objects.only("pk", "project_id", "machine_name")
    known = {specs.place_of(row): None if row.pk in busy else services.get(row.pk, set()) for row in rows}
    for stray in runtime.strays(known):
        if stray.age > _SETTLING:
            yield Finding(
                f"{stray.what} belongs to nothing", f"{stray.what} belonged to nothing and is removed", stray.remove
            )


def hosts() -> Iterable[Finding]:
    """Hosts that no environment has lead nowhere any more."""
    served = edge.hosts_on(settings.HOME.sockets(0).parent) | edge.hosts_on(settings.HOME.web_socket.parent)
    known = set(Host.objects.filter(name__in=served).values_list("name", flat=True))
    for host in set(served) - known:
        if _old(settings.HOME.edge / host, _SETTLING):
            yield Finding(
                f"{host} is served, but belongs to no environment",
                f"{host} belongs to no environment and is not served any more",
                partial(edge.remove, [host]),
            )


def builds() -> Iterable[Finding]:
    for folder in entries(settings.HOME.build("any").parent):
        running = Activity.objects.filter(pk=folder.name, state=State.RUNNING).exists()
        if not running and _old(folder, _SETTLING):
            yield Finding(
                f"The build folder of activity {folder.name} was left behind",
                f"The build folder of activity {folder.name} is removed",
                partial(_discard, folder),
            )


def snapshots(runtime: Runtime) -> Iterable[Finding]:
    """Copies of data that an interrupted backup or restore worked with, and throw-away services' folders."""
    for top in (settings.HOME.snapshot("any").parent, settings.HOME.scratch("any").parent):
        for folder in entries(top):
            running = Activity.objects.filter(state=State.RUNNING)
            at_work = running.filter(pk=folder.name) if top.name == "snapshots" else running
            if _old(folder, _SETTLING) and not at_work.exists():
                yield Finding(
                    f"The copy of data {folder.name} was left behind",
                    f"The copy of data {folder.name} is removed",
                    partial(runtime.throw_away, folder),
                )


def backups() -> Iterable[Finding]:
    """Backups that nobody makes any more."""
    making = Backup.objects.filter(state=Backup.State.MAKING)
    alive = Activity.objects.open().values("pk")
    for backup in making.exclude(activity__in=alive).select_related("project"):
        yield Finding(
            f"The {backup} was interrupted",
            f"What was stored of the {backup}, which was interrupted, is removed",
            partial(taking.drop, backup),
        )


def sockets() -> Iterable[Finding]:
    for folder in entries(settings.HOME.sockets(0).parent):
        known = folder.name.isdigit() and Environment.objects.filter(pk=int(folder.name)).exists()
        if not known and _old(folder, _SETTLING):
            yield Finding(
                f"There are sockets of environment {folder.name}, which is gone",
                f"The sockets of environment {folder.name}, which is gone, are removed",
                partial(shutil.rmtree, folder, ignore_errors=True),
            )


def slugs(project: Project) -> Iterable[Finding]:
    """Slugs that no recent release uses and nobody used for a day. A build that reuses one renews its time."""
    old = [folder for folder in entries(settings.HOME.slugs(project.pk)) if _old(folder, _SLUG_AGE)]
    if not old:
        return
    kept: set[str] = set()
    seen: Counter[int] = Counter()
    releases = Release.objects.filter(environment__project=project).order_by("environment", "-number")
    for environment, names in releases.values_list("environment", "slugs").iterator():
        seen[environment] += 1
        if seen[environment] <= _SLUGS_KEPT:
            kept |= set(names.values())
    for folder in old:
        if folder.name not in kept:
            yield Finding(
                f"{project}: the slug {folder.name} is not used any more",
                f"{project}: the slug {folder.name} is not used any more and was removed",
                partial(_remove_read_only, folder),
            )


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _old(path: Path, seconds: float) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > seconds
    except FileNotFoundError:
        return False


def _remove_read_only(folder: Path) -> None:
    """Moved away first, so that nobody ever sees half a slug."""
    if not folder.is_dir():
        folder.unlink(missing_ok=True)  # the lock of a build that was killed
        return
    gone = settings.HOME.build("slug-" + folder.name)
    gone.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(gone)
    _discard(gone)


def _discard(folder: Path) -> None:
    """A build may have closed folders even to their owner."""
    os.chmod(folder, 0o700)
    for path, folders, _ in os.walk(folder):
        for inner in (os.path.join(path, name) for name in folders):
            if not os.path.islink(inner):
                os.chmod(inner, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
