"""What repositories need now and then: commits of releases are held, loose objects packed, remains removed."""

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings

from deployments.enums import Kind
from deployments.models import Activity, Backup, Release
from environments import repositories
from portal.models import Project

EVERY = 3600.0  # seconds
_SETTLING = 300.0  # seconds that nothing may have changed in what no activity works on
_QUARANTINE = 2 * 3600.0  # the same for the objects of a push, which Git may look through for long without a write
_MARK = "slipway-upkeep"  # in the repository; its time is that of the last upkeep


def keep_one() -> Iterable[str]:
    """Look after the repository that waits for it longest, if one is due: packing a large one takes minutes."""
    due = [(_age(mark), project) for project, mark in _marks() if _age(mark) > EVERY]
    if due:
        _, project = max(due, key=lambda each: each[0])
        path = settings.HOME.repository(project.pk)
        (path / _MARK).touch()  # first, so that nobody else begins the same
        yield from _quarantines(project, path)
        hold(project)
        repositories.housekeeping(path)


def hold(project: Project) -> None:
    """Let a hidden ref point at the commit of each release and backup, so that it can be live again whatever is pushed.

    Only `housekeeping` ever removes objects, and none that is younger than two weeks: so this is soon enough before it.
    """
    releases = Release.objects.filter(environment__project=project).values_list("environment", "number", "commit")
    wanted = {f"{environment}-{number}": commit for environment, number, commit in releases}
    backups = Backup.objects.filter(project=project).exclude(commit="").values_list("pk", "commit")
    wanted |= {f"backup-{backup}": commit for backup, commit in backups}
    repositories.hold(settings.HOME.repository(project.pk), wanted)


def remains() -> Iterable[str]:
    """Half-made repositories of creations whose worker was killed; a deploy key may lie in them."""
    folder = settings.HOME.repositories
    for entry in sorted(folder.glob(".*")) + sorted(folder.glob("*.git.old")):
        project = entry.name.strip(".").partition(".")[0]
        making = Activity.objects.open().filter(project=project, kind=Kind.PROJECT_CREATE).exists()
        if not making and _age(entry) > _SETTLING:
            _remove(entry)
            yield f"{entry.name}, left by an interrupted creation, is removed"


def _quarantines(project: Project, path: Path) -> Iterable[str]:
    for folder in path.glob("objects/tmp_objdir-*"):
        if min(_age(entry) for entry in [folder, *folder.rglob("*")]) > _QUARANTINE:
            _remove(folder)
            yield f"{project}: the objects of an interrupted push are removed"


def _marks() -> Iterable[tuple[Project, Path]]:
    for project in Project.objects.filter(state=Project.State.READY):
        path = settings.HOME.repository(project.pk)
        if path.is_dir():
            yield project, path / _MARK


def _age(path: Path) -> float:
    """Seconds since it was changed; very many when it does not exist."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
