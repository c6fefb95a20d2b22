"""Once a minute: what should run against what does. Repairs only where no activity is at work; safe to repeat."""

import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from deployments.actions import pushes
from deployments.enums import Kind, State
from deployments.models import Activity, Release
from deployments.pipeline import deactivate, specs, upkeep
from environments import edge, runtimes
from environments.models import Environment, Host, Service
from environments.process import Watch
from environments.runtimes.base import Runtime
from portal.models import Project

_PATIENCE = 120.0  # seconds for a service to come up
_SETTLING = 60.0  # seconds that something on disk must be unchanged before it counts as left behind
_SLUGS_KEPT = 10  # of the latest releases of each environment
_SLUG_AGE = 24 * 3600.0

logger = logging.getLogger(__name__)


def reconcile(*, services: bool = False) -> list[str]:
    """Repairs what it can; returns one sentence for each repair.

    With `services` each service is asked too, which takes longer: after a start, when none of them may run.
    """
    runtime = runtimes.get()
    done: list[str] = []
    for environment in _suspects():
        done += _guarded(str(environment), partial(_environment, environment, runtime, services))
    done += _guarded("states", _states)
    done += _guarded("hosts", _hosts)
    done += _guarded("build folders", _builds)
    done += _guarded("sockets", _sockets)
    for project in Project.objects.filter(state=Project.State.READY):
        done += _guarded(f"the slugs of {project}", partial(_slugs, project))
        done += _guarded(f"the pushes to {project}", partial(_pushes, project))
    done += _guarded("half-made repositories", upkeep.remains)
    if not services:  # a start should not wait for it
        done += _guarded("repositories", upkeep.keep_one)
    for sentence in done:
        logger.info("%s", sentence)
    return done


def _guarded(what: str, repair: Callable[[], Iterable[str]]) -> list[str]:
    """What cannot be repaired does not keep the rest from being repaired."""
    try:
        return list(repair())
    except Exception:
        logger.exception("The reconciler cannot repair %s", what)
        return []


def _suspects() -> list[Environment]:
    """Environments of which anything may run or lie about. The others are only branches, without limit in number."""
    on_disk = [int(entry.name) for entry in _entries(settings.HOME.sockets(0).parent) if entry.name.isdigit()]
    services = Service.objects.filter(environment=OuterRef("pk"))
    releases = Release.objects.filter(
        environment=OuterRef("pk"), state__in=[Release.State.STARTING, Release.State.LIVE]
    )
    some = Q(pk__in=on_disk) | Q(Exists(services)) | Q(Exists(releases))
    found = Environment.objects.filter(~Q(status=Environment.Status.INACTIVE) | some)
    return list(found.select_related("project").order_by("pk"))


def _environment(environment: Environment, runtime: Runtime, services: bool) -> Iterable[str]:
    """Looks first, then asks whether an activity is at work, then reads what should be: so that whatever an activity
    made or ended meanwhile is never taken for something left behind: the repairs before this one may take minutes."""
    place = specs.place_of(environment)
    found = runtime.releases(place)
    starting = list(Release.objects.filter(environment=environment, state=Release.State.STARTING).values_list("pk"))
    if not _at_rest(environment):
        return
    environment.refresh_from_db()
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    Release.objects.filter(pk__in=[pk for (pk,) in starting], state=Release.State.STARTING).update(
        state=Release.State.FAILED, retired_at=Now()
    )
    if environment.is_active and release is not None:
        yield from _serving(environment, release, runtime, services)
    for number in found:
        if release is None or number != release.number:
            runtime.stop(place, number)
            yield f"{environment}: what was left of v{number} is removed"
    if _is_abandoned(environment):
        deactivate.remove_all(environment, runtime)
        yield f"{environment}: what was left of it is removed, for it is inactive"


def _is_abandoned(environment: Environment) -> bool:
    """Whether it has services although it is inactive, and nothing was asked that made them or will use them."""
    inactive = Environment.objects.filter(pk=environment.pk, status=Environment.Status.INACTIVE)
    asked = Activity.objects.open().filter(environment=OuterRef("pk"))
    services = Service.objects.filter(environment=OuterRef("pk"))
    return inactive.filter(Exists(services), ~Exists(asked)).exists()


def _serving(environment: Environment, release: Release, runtime: Runtime, services: bool) -> Iterable[str]:
    spec = specs.release_spec(release)
    healthy = runtime.healthy(spec)
    if services or not healthy:
        watch = Watch(output=lambda data: None, total=_PATIENCE)
        for service in specs.service_specs(environment).values():
            runtime.provision(service, watch)
    if not healthy:
        runtime.place(spec)
        runtime.start(spec)
        yield f"{environment}: {release} was started again"
    hosts, front = specs.hosts_of(environment, spec.routes), runtime.front(spec)
    served = edge.hosts_on(settings.HOME.sockets(environment.pk))
    wrong = [host for host in hosts if served.get(host) != front]
    too_many = set(served) - set(hosts)
    if not wrong and not too_many:
        return
    with transaction.atomic():  # what is being claimed now waits for us, or we for it
        if _at_rest(Environment.objects.select_for_update().get(pk=environment.pk)):
            edge.switch(wrong, front)
            edge.remove(too_many)
            yield f"{environment}: {', '.join([*wrong, *too_many])} led elsewhere than to {release}"


def _at_rest(environment: Environment) -> bool:
    return not Activity.objects.filter(environment=environment, state=State.RUNNING).exists()


def _states() -> Iterable[str]:
    """What an activity was to bring to an end, when there is none (any more) that will."""
    deleting = Activity.objects.open().filter(environment=OuterRef("pk"))
    stuck = Environment.objects.filter(~Exists(deleting), status=Environment.Status.DELETING)
    if stuck.update(status=Environment.Status.INACTIVE):
        yield "An environment whose deletion had failed can be deleted again"
    creating = Activity.objects.open().filter(project=OuterRef("pk"), kind=Kind.PROJECT_CREATE)
    unmade = Project.objects.filter(~Exists(creating), state=Project.State.CREATING)
    if unmade.update(state=Project.State.FAILED):
        yield "A project whose creation had failed can be tried again"


def _hosts() -> Iterable[str]:
    """Hosts that no environment has lead nowhere any more."""
    served = edge.hosts_on(settings.HOME.sockets(0).parent)
    known = set(Host.objects.filter(name__in=served).values_list("name", flat=True))
    for host in set(served) - known:
        if _old(settings.HOME.edge / host, _SETTLING):
            edge.remove([host])
            yield f"{host} belongs to no environment and is not served any more"


def _builds() -> Iterable[str]:
    for folder in _entries(settings.HOME.build("any").parent):
        running = Activity.objects.filter(pk=folder.name, state=State.RUNNING).exists()
        if not running and _old(folder, _SETTLING):
            _discard(folder)
            yield f"The build folder of activity {folder.name} is removed"


def _sockets() -> Iterable[str]:
    for folder in _entries(settings.HOME.sockets(0).parent):
        known = folder.name.isdigit() and Environment.objects.filter(pk=int(folder.name)).exists()
        if not known and _old(folder, _SETTLING):
            shutil.rmtree(folder, ignore_errors=True)
            yield f"The sockets of environment {folder.name}, which is gone, are removed"


def _slugs(project: Project) -> Iterable[str]:
    """Slugs that no recent release uses and nobody used for a day. A build that reuses one renews its time."""
    old = [folder for folder in _entries(settings.HOME.slugs(project.pk)) if _old(folder, _SLUG_AGE)]
    if not old:
        return
    kept: set[str] = set()
    seen: Counter[int] = Counter()
    releases = Release.objects.filter(environment__project=project).order_by("environment", "-number")
    for environment, slugs in releases.values_list("environment", "slugs").iterator():
        seen[environment] += 1
        if seen[environment] <= _SLUGS_KEPT:
            kept |= set(slugs.values())
    for folder in old:
        if folder.name not in kept:
            _remove_read_only(folder)
            yield f"{project}: the slug {folder.name} is not used any more and was removed"


def _pushes(project: Project) -> Iterable[str]:
    for activity in pushes.reconcile_refs(project):
        yield f"{project}: a push had no activity; {activity} was written for it"


def _entries(folder: Path) -> list[Path]:
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
