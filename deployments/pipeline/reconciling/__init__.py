"""What should be against what is: the database, the disk, the processes, the edge and the repositories.

Once a minute `reconcile` mends what it can; `examine` only looks, for `manage.py doctor`. Both touch nothing that an
activity is at work on, and are safe to repeat.
"""

import logging
from collections.abc import Iterable, Iterator
from functools import partial

from deployments.pipeline import upkeep
from deployments.pipeline.reconciling import environments, leftovers, records
from deployments.pipeline.reconciling.finding import Check, Finding
from environments import runtimes
from portal.models import Project

__all__ = ["Finding", "examine", "reconcile"]

logger = logging.getLogger(__name__)


def reconcile(*, services: bool = False) -> list[str]:
    """Mends what it can; returns one sentence for each thing mended.

    With `services` each service is asked too, which takes longer: after a start, when none of them may run.
    """
    done: list[str] = []
    for name, check in _checks(services):
        try:
            done += _mended(check())
        except Exception:  # what cannot be mended does not keep the rest from being mended
            logger.exception("The reconciler cannot mend %s", name)
    if not services:  # a start should not wait for it
        done += _upkeep()
    for sentence in done:
        logger.info("%s", sentence)
    return done


def _mended(findings: Iterable[Finding]) -> list[str]:
    done = []
    for finding in findings:
        if finding.mend is not None and finding.mend() is not False and finding.mended:
            done.append(finding.mended)
    return done


def examine() -> Iterator[Finding]:
    """Everything that is not as it should be. A check that fails is itself a finding."""
    for name, check in [*_checks(services=True), *_only_seen()]:
        try:
            yield from check()
        except Exception as error:
            logger.exception("%s cannot be examined", name)
            yield Finding(f"{name} cannot be examined: {error}")


def _checks(services: bool) -> Iterator[tuple[str, Check]]:
    runtime = runtimes.get()
    for environment in environments.suspects():
        yield str(environment), partial(environments.check, environment, runtime, services)
    yield "what is left of environments", partial(leftovers.strays, runtime)
    yield "states", records.states
    yield "hosts", leftovers.hosts
    yield "build folders", leftovers.builds
    yield "copies of data", partial(leftovers.snapshots, runtime)
    yield "interrupted backups", leftovers.backups
    yield "sockets", leftovers.sockets
    for project in Project.objects.filter(state=Project.State.READY):
        yield f"the slugs of {project}", partial(leftovers.slugs, project)
        yield f"the pushes to {project}", partial(records.pushes, project)


def _only_seen() -> Iterator[tuple[str, Check]]:
    """What nothing mends by itself."""
    yield "secrets", records.secrets
    yield "logs", records.logs
    yield "backups", records.backups
    yield "activities", records.activities


def _upkeep() -> list[str]:
    done: list[str] = []
    for work in (upkeep.remains, upkeep.keep_one):
        try:
            done += work()
        except Exception:
            logger.exception("The upkeep of repositories failed")
    return done
