"""How far each environment's code is from its parent's. Counted by workers and stored: a page never waits for Git."""

import logging
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import F, Q, Value
from django.db.models.functions import Concat

from environments import comparing, repositories
from environments.models import Environment
from environments.models.environment import EnvironmentQuerySet
from environments.process import CommandFailed, ProcessError
from portal.errors import Missing
from portal.models import Project

_MOST_TOLD = 20  # differences of configuration that are kept for an edge

logger = logging.getLogger(__name__)


def pair(head: str, parent: str) -> str:
    """What a count belongs to. When either side moves, the stored count is out of date."""
    return f"{head}...{parent}"


def refresh(project: Project) -> None:
    """Count anew where something moved, for what is not a mere branch. Git's complaints are logged, not raised."""
    shown = stale().filter(project=project).exclude(status=Environment.Status.INACTIVE)
    for environment in shown.select_related("parent"):
        _refresh(environment)


def refresh_branches(most: int) -> None:
    """The same for mere branches, which may be hundreds: some of them at a time, those that were made last first."""
    for environment in stale().select_related("parent").order_by("-pk")[:most]:
        _refresh(environment)


def stale() -> EnvironmentQuerySet:
    """Whose count is out of date."""
    now = Concat("head_commit", Value("..."), "parent__head_commit")
    known = Environment.objects.filter(parent__isnull=False).exclude(Q(head_commit="") | Q(parent__head_commit=""))
    return known.annotate(now=now).exclude(drift_of=F("now"), files_touched__isnull=False)


def _refresh(environment: Environment) -> None:
    assert environment.parent is not None
    head, base = environment.head_commit, environment.parent.head_commit
    path = settings.HOME.repository(environment.project_id)
    try:
        counted = count(path, base, head)
    except (ProcessError, Missing, OSError, ValueError) as error:
        logger.warning("The drift of %s cannot be counted: %s", environment.pk, error)
        if not isinstance(error, CommandFailed):  # Git could not even say that; it may, the next time
            return
        counted = {"ahead": None, "behind": None, "files_touched": 0, "configuration_drift": []}
    Environment.objects.filter(pk=environment.pk, head_commit=head).update(**counted, drift_of=pair(head, base))


def count(path: Path, base: str, head: str) -> dict[str, Any]:
    """Fields of an environment at `head` whose parent is at `base`."""
    if base == head:
        return {"ahead": 0, "behind": 0, "files_touched": 0, "configuration_drift": []}
    ahead, behind = repositories.count_between(path, base, head)
    common = repositories.merge_base(path, base, head)
    return {
        "ahead": ahead,
        "behind": behind,
        "files_touched": len(repositories.changes(path, common or base, head)),
        "configuration_drift": comparing.configuration(path, base, head)[:_MOST_TOLD],
    }
