"""What environments have on disk against what their files allow them, and the host against all of them.

Measured every ten minutes by a gentle process of its own. At 80 % of a limit there is a warning, at 95 % a loud one. At
100 % a database takes no more data where its engine can refuse it (what is stored stays, and is read); an app's mounts
cannot be closed under a program that runs, so should the host itself get short of space, environments over their limits
are paused, Production excepted, and nothing is built or deployed.
"""

import logging
import shutil
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from deployments import live
from deployments.actions import pausing
from deployments.enums import Fault
from deployments.models import Health, Release
from deployments.pipeline import specs
from deployments.pipeline.failures import Failure
from deployments.pipeline.watching import health_of, running
from environments import runtimes
from environments.models import Environment
from environments.runtimes.base import Runtime, RuntimeFailure
from environments.runtimes.gauges import Weight
from portal.errors import Conflict

WARN, LOUD, FULL = 0.8, 0.95, 1.0  # shares of a limit
_MB = 1024**2

logger = logging.getLogger(__name__)


def weigh() -> None:
    runtimes.get().gauges.weigh()


def look() -> None:
    """Take in what was measured, and act by it."""
    releases = running()
    runtime = runtimes.get()
    weights = runtime.gauges.weights([specs.place_of(release.environment) for release in releases])
    for release in releases:
        weight = weights.get(release.environment.pk)
        row = health_of(release.environment)
        if weight is None or (row.weighed_at is not None and weight.at <= row.weighed_at.timestamp()):
            continue
        before = row.full(LOUD)
        row.volumes, row.weighed_at = volumes(release, weight), datetime.fromtimestamp(weight.at, UTC)
        row.held = _hold(row, release.environment, runtime)
        values = {"volumes": row.volumes, "weighed_at": row.weighed_at, "held": row.held}
        Health.objects.update_or_create(environment=release.environment, defaults=values)
        if bool(before) != bool(row.full(LOUD)):
            live.publish(f"project:{release.environment.project_id}", "environment")
    if is_short():
        _relieve(releases)


def volumes(release: Release, weight: Weight) -> list[dict[str, Any]]:
    """What it has on disk, with the limits of its release's files: `disk`, in MB."""
    configuration: Mapping[str, Any] = release.configuration
    apps, services = configuration.get("apps", {}), configuration.get("services", {})
    found = []
    for folder, size in weight.mounts.items():
        kind, _, name = folder.partition("-")
        asked = services.get(name) if kind == "service" else apps.get(name) or apps.get(name.partition("--")[0])
        found.append(_volume(name, "mounts", size, asked))
    found += [_volume(name, "service", size, services.get(name)) for name, size in weight.services.items()]
    return [*found, _volume("logs", "logs", weight.logs, None)]


def _volume(name: str, kind: str, size: int, asked: Mapping[str, Any] | None) -> dict[str, Any]:
    limit = (asked or {}).get("disk")
    return {"name": name, "kind": kind, "bytes": size, "limit": limit * _MB if limit else None}


def _hold(row: Health, environment: Environment, runtime: Runtime) -> list[str]:
    """Names of the services that take no more data now. Once under 95 % they do again."""
    full = {each["name"] for each in row.full(FULL) if each["kind"] == "service"}
    near = {each["name"] for each in row.full(LOUD) if each["kind"] == "service"}
    held = []
    for name, spec in specs.service_specs(environment).items():
        wanted = name in full or (name in near and name in row.held)
        if not wanted and name not in row.held:
            continue
        try:
            if runtime.hold_service(spec, wanted) and wanted:
                held.append(name)
        except RuntimeFailure as error:
            logger.warning("%s of %s: %s", name, environment, error.message)
            held += [name] if name in row.held else []
    return held


def is_short() -> bool:
    """Whether the disk under SLIPWAY_HOME has less left than is kept in reserve."""
    return bool(shutil.disk_usage(settings.SLIPWAY_HOME).free < settings.DISK_RESERVE)


def check_host() -> None:
    """Raises Failure when nothing should be built, deployed or woken for want of space."""
    if is_short():
        reserve = settings.DISK_RESERVE // _MB
        raise Failure(
            "no-space",
            f"The host has less than {reserve} MB of disk left. Deactivate environments or free disk space, then try "
            "again.",
            fault=Fault.PLATFORM,
        )


def _relieve(releases: list[Release]) -> None:
    for release in releases:
        if health_of(release.environment).full(FULL):
            with suppress(Conflict):  # Production, or something is asked of it already
                pausing.pause(release.environment, by=None, because="disk")
