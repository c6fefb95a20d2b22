"""Quiet in an environment: while somebody works on its data or its release, none of its crons runs.

Whoever asks for it ends it, also when the work fails. Should a worker be lost, the reconciler ends it once no activity
is at work; and should nobody be left to do that, the lease ends it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.conf import settings

from deployments.models import Release
from deployments.pipeline import specs
from deployments.pipeline.context import Context
from environments.models import Environment
from environments.runtimes.base import Runtime

_BESIDE = 1800.0  # seconds that work may take beside its hooks


def quiet(context: Context, why: str) -> str | None:
    """Let no cron begin, and wait for those that run; those that take too long are stopped."""
    environment = context.environment
    patience = float(settings.CRON_PATIENCE)
    context.heading("Pausing crons")
    # Silence is what is waited in.
    watch = context.watch(silence=patience + 3600)
    place = specs.place_of(environment)
    context.runtime.crons.quiet(place, watch, patience=patience, lease=lease(environment), why=why)
    context.log.end_line()
    context.say("No cron runs. What becomes due meanwhile runs afterwards, once")
    return None


def wake(environment: Environment, runtime: Runtime) -> None:
    """Let crons run again. Safe to repeat."""
    runtime.crons.wake(specs.place_of(environment))


def lease(environment: Environment) -> float:
    """Seconds after which crons run again although nobody ended the quiet: longer than any deployment takes."""
    live = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    apps = len(live.configuration.get("apps", {})) if live else 1
    return float(settings.HOOK_TIMEOUT * max(apps, 1) + settings.START_TIMEOUT + settings.CRON_PATIENCE + _BESIDE)


def crons_of(configuration: Mapping[str, Any]) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    """(app, cron, its part of the file) of a release's configuration."""
    for app, config in configuration.get("apps", {}).items():
        for name, cron in (config.get("crons") or {}).items():
            yield app, name, cron
