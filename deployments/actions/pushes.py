"""A push: let in or refused as a whole before Git moves a ref, and recorded afterwards.

The accepted push is written down first (Push), so that one whose process dies between Git's moving the refs and the
record of its activities is found by `reconcile_refs`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from deployments import live
from deployments.actions import activities
from deployments.actions.environments import check_room, make_row
from deployments.actions.push_check import Check, PushRefused, RefUpdate
from deployments.enums import Kind
from deployments.models import Activity, Push
from environments import names, repositories
from environments.models import Environment
from portal import access, audit
from portal.enums import EnvironmentType
from portal.errors import Conflict, Denied, Missing, SlipwayError
from portal.ids import new_id
from portal.models import Project, User

__all__ = ["MAX_UPDATES", "Proposal", "PushRefused", "RefUpdate", "propose", "reconcile_refs", "record", "withdraw"]

MAX_UPDATES = 500
_COMMITS = 50  # of a push are kept with its activity
_STALE = timedelta(minutes=2)  # after which an unrecorded push is one whose process died


@dataclass(frozen=True)
class Proposal:
    push: Push
    notes: Sequence[str]  # lines for the pusher


def propose(
    project: Project,
    *,
    by: User,
    updates: Sequence[RefUpdate],
    options: Sequence[str] = (),
    objects: Mapping[str, str] | None = None,
    address: str = "",
) -> Proposal:
    """Check every ref of a push and write the push down. Raises PushRefused with all reasons; then nothing is written.

    `objects`: the variables with which Git shows its hooks the objects that are not in the repository yet.
    """
    check = Check(project, by, settings.HOME.repository(project.pk), options, objects)
    try:
        plans = check.all(updates)
    except PushRefused as refusal:
        targets = ", ".join(update.ref.removeprefix("refs/heads/") for update in updates)
        audit.record(
            "push.refuse",
            by=by,
            project=project,
            target=targets,
            address=address,
            outcome="refused",
            reasons=refusal.lines[:20],
        )
        raise
    push = Push.objects.create(
        id=new_id(), project=project, user=by, address=address, updates=plans, options=list(options)[:50]
    )
    return Proposal(push, check.notes)


def propose_by_id(project_id: str, *, user_id: int, **what: Any) -> Proposal:
    """`propose` for a caller that holds ids and wants the rights of this moment. Raises Missing too."""
    user = User.objects.get(pk=user_id)
    return propose(access.find_project(user, project_id), by=user, **what)


def withdraw(push_id: str) -> None:
    """Forget a push that was let in but whose refs will not move."""
    Push.objects.filter(pk=push_id, recorded_at=None).delete()


def record(push: Push | str, moved: Collection[str] | None = None) -> list[Activity]:
    """Write what the push means, after Git moved the refs named in `moved` (unknown: look at the repository).

    Idempotent: what was recorded before is not again. Returns all activities of the push.
    """
    with transaction.atomic():
        row = (
            Push.objects.select_for_update()
            .select_related("project", "user")
            .get(pk=push if isinstance(push, str) else push.pk)
        )
        repository = settings.HOME.repository(row.project_id)
        for plan in row.updates:
            happened = _has_moved(repository, plan) if moved is None else plan["ref"] in moved
            if happened and not plan.get("done"):
                _record_update(row, plan, repository)
                plan["done"] = True
        row.recorded_at = row.recorded_at or timezone.now()
        row.save(update_fields=["updates", "recorded_at"])
    return list(Activity.objects.filter(pk__in=[plan["activity"] for plan in row.updates if plan.get("activity")]))


def reconcile_refs(project: Project) -> list[Activity]:
    """Bring activities and environments to what the refs say: pushes that were never recorded, heads nobody recorded.

    Safe to repeat at any time.
    """
    made: list[Activity] = []
    stale = timezone.now() - _STALE
    for push in Push.objects.filter(project=project, recorded_at=None, created_at__lt=stale).order_by("created_at"):
        made += record(push)
    if Push.objects.filter(project=project, recorded_at=None).exists():
        return made  # one is on its way: its refs are its own to record
    with transaction.atomic():
        locked = Project.objects.select_for_update().get(pk=project.pk)
        if locked.state != Project.State.READY:
            return made
        for branch, commit in repositories.branches(settings.HOME.repository(project.pk)).items():
            made += _reconcile_branch(locked, branch, commit)
    return made


def _reconcile_branch(project: Project, branch: str, commit: str) -> list[Activity]:
    environment = project.environments.filter(branch=branch).first()
    if environment is None:
        coming = Activity.objects.open().filter(project=project, kind=Kind.BRANCH, parameters__branch=branch)
        if not coming.exists() and not project.environments.filter(name=names.environment_id(branch)).exists():
            parent = project.environments.filter(branch=project.default_branch).first()
            make_row(project, branch=branch, type=EnvironmentType.INTEGRATION, parent=parent, commit=commit, by=None)
        return []
    if environment.head_commit in ("", commit) or environment.status == Environment.Status.DELETING:
        return []
    return [_activity(project, environment, environment.head_commit, commit, by=None)]


def _has_moved(repository: Path, plan: Mapping[str, Any]) -> bool:
    if not repository.exists():
        return False
    at = dict(repositories.refs(repository, plan["ref"])).get("", repositories.ZERO)
    if at == plan["new"] or repositories.ZERO in (at, plan["new"]):
        return bool(at == plan["new"])
    # A later push may have moved the branch on.
    return plan["kind"] != "tag" and repositories.is_ancestor(repository, plan["new"], at)


def _record_update(push: Push, plan: dict[str, Any], repository: Path) -> None:
    if plan["kind"] == "tag":
        audit.record("push.tag", by=push.user, project=push.project, target=plan["ref"], address=push.address)
    elif plan["kind"] == "delete":
        _record_delete(push, plan, repository)
    else:
        activity = _record_head(push, plan)
        plan["activity"] = activity.pk if activity else ""


def _record_head(push: Push, plan: Mapping[str, Any]) -> Activity | None:
    branch = plan["ref"].removeprefix("refs/heads/")
    environment = push.project.environments.filter(branch=branch).first()
    if environment is None:
        parent = Environment.objects.filter(pk=plan["parent"]).first()
        environment = make_row(
            push.project,
            branch=branch,
            type=EnvironmentType(plan["type"]),
            parent=parent,
            commit=plan["new"],
            by=push.user,
            title=plan["title"],
        )
        audit.record("environment.create", by=push.user, project=push.project, target=branch, address=push.address)
    wanted = [Kind.ACTIVATE, Kind.PUSH] if plan["activate"] and not environment.is_active else [Kind.PUSH]
    for kind in wanted:
        try:
            if kind is Kind.ACTIVATE:
                check_room(push.project, environment)
            return _activity(
                push.project,
                environment,
                plan["old"],
                plan["new"],
                kind=kind,
                by=push.user,
                address=push.address,
                push=push.pk,
            )
        except (Conflict, Denied, Missing):
            # It was allowed when the push was checked. What is left of it is a push to an inactive environment; and
            # while that is being deleted not even that: the branch goes with it.
            continue
    return None


def _activity(
    project: Project,
    environment: Environment,
    old: str,
    new: str,
    *,
    by: User | None,
    kind: Kind = Kind.PUSH,
    address: str = "",
    push: str = "",
) -> Activity:
    base = old
    if old in ("", repositories.ZERO) and environment.parent is not None:
        base = environment.parent.head_commit
    added = repositories.commits(settings.HOME.repository(project.pk), base, new, _COMMITS)
    activity = activities.create(
        kind=kind,
        project=project,
        environment=environment,
        by=by,
        parameters={
            "commit": new,
            "previous": old,
            "commits": [{"sha": each.sha, "subject": each.subject, "author": each.author} for each in added],
            "push": push,
        },
        address=address,
    )
    Environment.objects.filter(pk=environment.pk).update(head_commit=new)
    return activity


def _record_delete(push: Push, plan: Mapping[str, Any], repository: Path) -> None:
    branch = plan["ref"].removeprefix("refs/heads/")
    environment = push.project.environments.filter(branch=branch).first()
    if environment is None:
        return
    if environment.is_active or environment.children.exists() or environment.activities.open().exists():
        # Activated while the push was on its way. The environment stays, so its branch does.
        try:
            repositories.create_branch(repository, branch, plan["old"])
        except SlipwayError:
            return
        return
    audit.record("environment.delete", by=push.user, project=push.project, target=branch, address=push.address)
    environment.delete()
    transaction.on_commit(lambda: live.publish(f"project:{push.project_id}", "environment"))
