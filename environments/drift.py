"""How far each environment's code is from its parent's. Counted by workers and stored: a page never waits for Git."""

import logging

from django.conf import settings

from environments import repositories
from environments.models import Environment
from environments.process import ProcessError
from portal.errors import Missing
from portal.models import Project

logger = logging.getLogger(__name__)


def pair(head: str, parent: str) -> str:
    """What a count belongs to. When either side moves, the stored count is out of date."""
    return f"{head}...{parent}"


def refresh(project: Project) -> None:
    """Count anew where something moved, for what is not a mere branch. Git's complaints are logged, not raised."""
    path = settings.HOME.repository(project.pk)
    shown = Environment.objects.filter(project=project, parent__isnull=False).select_related("parent")
    for environment in shown.exclude(status=Environment.Status.INACTIVE):
        assert environment.parent is not None
        head, base = environment.head_commit, environment.parent.head_commit
        if not head or not base or environment.drift_of == pair(head, base):
            continue
        try:
            ahead, behind = repositories.count_between(path, base, head)
        except (ProcessError, Missing, OSError, ValueError) as error:
            logger.warning("The drift of %s cannot be counted: %s", environment.pk, error)
            continue
        counted = {"ahead": ahead, "behind": behind, "drift_of": pair(head, base)}
        Environment.objects.filter(pk=environment.pk, head_commit=head).update(**counted)
