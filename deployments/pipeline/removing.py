"""The rounds behind actions.removals: announce what comes to its end, and remove what was announced."""

import contextlib
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from deployments.actions import environments as actions
from deployments.actions import removals
from deployments.actions.removals import NOTICE, Removal
from deployments.models import Activity
from environments import drift, repositories
from environments.models import Environment
from environments.process import ProcessError
from portal.errors import Conflict, Missing

_AT_ONCE = 20  # environments that one round removes
_BRANCHES = 25  # mere branches whose drift one round counts


def count_branches() -> None:
    drift.refresh_branches(_BRANCHES)


def announce() -> None:
    """Announce what will have been unused for its lifetime within a day; take back where it was used since."""
    now = timezone.now()
    living = Environment.objects.filter(lifetime_days__isnull=False).exclude(status=Environment.Status.DELETING)
    for environment in removals.with_use(living.select_related("project", "parent")):
        due = removals.due_at(environment)
        if due is None or removals.why_never(environment):
            continue
        coming = due - NOTICE <= now
        if environment.removal_at is not None and environment.removal_reason == Removal.UNUSED and not coming:
            removals.take_back(environment, "it was used")
        elif environment.removal_at is None and coming and _would_change(environment):
            removals.announce(environment, Removal.UNUSED, max(due, now + NOTICE))


def _would_change(environment: Environment) -> bool:
    return environment.is_active or not removals.why_stays(environment, children=environment.children.count())


def carry_out() -> None:
    """Ask for the deactivation, and once that is done for the deletion, of what was announced and whose time is up."""
    due = Environment.objects.filter(removal_at__lte=timezone.now()).exclude(status=Environment.Status.DELETING)
    at_rest = (
        due.exclude(activities__in=Activity.objects.open()).select_related("project", "parent").order_by("removal_at")
    )
    for environment in at_rest[:_AT_ONCE]:
        with contextlib.suppress(Conflict):  # something was asked of it just now: the next round looks again
            _remove(environment)


def _remove(environment: Environment) -> None:
    spared = removals.why_never(environment) or _spared(environment)
    if spared:
        removals.take_back(environment, spared)
    elif environment.is_active:
        actions.deactivate(environment, by=None, removal=environment.removal_reason)
    elif environment.children.exists():
        removals.take_back(environment, "it has children: its branch stays")
    elif not _held(environment):
        removals.take_back(environment, "no other branch holds its commits: its branch stays")
    else:
        actions.delete(environment, by=None, removal=environment.removal_reason)


def _spared(environment: Environment) -> str:
    """Why what was announced is not true any more."""
    if environment.removal_reason == Removal.MERGED:
        return "" if _held(environment) else "it was pushed to after its merge"
    again = removals.with_use(Environment.objects.filter(pk=environment.pk)).get()
    due = removals.due_at(again)
    return "" if due is not None and due <= timezone.now() + timedelta(minutes=1) else "it was used"


def _held(environment: Environment) -> bool:
    """Whether another branch holds all its commits; a branch that is not where it was recorded to be is left alone."""
    repository = settings.HOME.repository(environment.project_id)
    with contextlib.suppress(ProcessError, Missing, OSError):
        at = repositories.head(repository, environment.branch)
        if at is not None and at == environment.head_commit:
            return repositories.held_elsewhere(repository, at, environment.branch)
    return False
