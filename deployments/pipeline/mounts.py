"""The mounts of what is live: where their files lie, and how much a worker finds in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now

from deployments import dispatch, live
from deployments.models import MountSizes, Release
from deployments.pipeline.specs import place_of
from environments import browsing, runtimes
from environments.manifest import Mount
from environments.models import Environment

_FRESH = timedelta(minutes=5)  # as long a size is shown without being asked for again
_PATIENCE = timedelta(minutes=2)  # until one that was asked for is asked for again


@dataclass(frozen=True)
class Kept:
    """One mount of an app or worker."""

    program: str
    path: str  # below the app
    source: str
    root: Path | None  # None for a temporary one, which every release has of its own
    below: str

    @property
    def key(self) -> str:
        return f"{self.program}:{self.path}"


def of(environment: Environment, release: Release | None) -> list[Kept]:
    """From the release's configuration, in which every mount is written out."""
    apps: dict[str, Any] = release.configuration.get("apps") or {} if release else {}
    found: list[Kept] = []
    for name, app in apps.items():
        found += _of(environment, name, app.get("mounts"))
        for worker, told in (app.get("workers") or {}).items():
            found += _of(environment, f"{name}--{worker}", told.get("mounts"))
    return found


def _of(environment: Environment, program: str, mounts: Any) -> Iterator[Kept]:
    for path, told in sorted((mounts or {}).items()):
        mount = Mount(source=told["source"], source_path=told.get("source_path") or "", service=told.get("service"))
        if mount.source == "tmp":
            yield Kept(program, path, "tmp", None, "")
        else:
            root, below = runtimes.get().mount(place_of(environment), program, mount)
            yield Kept(program, path, mount.source, root, below)


def sizes(environment: Environment) -> MountSizes:
    """What is known, and have it measured anew when that is old."""
    known, _ = MountSizes.objects.get_or_create(environment=environment)
    old = Q(measured_at=None) | Q(measured_at__lt=Now() - _FRESH)
    unasked = Q(asked_at=None) | Q(asked_at__lt=Now() - _PATIENCE)
    if MountSizes.objects.filter(old, unasked, pk=known.pk).update(asked_at=Now()):
        dispatch.measure_mounts(environment.pk)
    return known


def measure(environment_id: int) -> None:
    environment = Environment.objects.filter(pk=environment_id).first()
    if environment is None:
        return
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    found = {
        each.key: browsing.measure(each.root, each.below) for each in of(environment, release) if each.root is not None
    }
    MountSizes.objects.filter(environment=environment).update(found=found, measured_at=Now())
    live.publish(f"project:{environment.project_id}", "environment")
