"""A push: let in or refused as a whole before Git moves a ref, and recorded afterwards.

The accepted push is written down first (Push), so that one whose process dies between Git's moving the refs and the
record of its activities is found by `reconcile_refs`.
"""

import contextlib
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
from deployments.actions.environments import activation, make_row
from deployments.actions.possible import check_room
from deployments.actions.push_check import Check, PushRefused, RefUpdate
from deployments.enums import Kind
from deployments.models import Activity, Push
from deployments.push_options import shown
from environments import names, repositories
from environments.models import Environment
from portal import access, audit
from portal.enums import EnvironmentType
from portal.errors import Conflict, Denied, Missing, SlipwayError
from portal.ids import new_id
from portal.models import Project, User

__all__ = [
    "MAX_UPDATES",
    "Proposal",
    "PushRefused",
    "RefUpdate",
    "announce_move",
    "propose",
    "reconcile_refs",
    "record",
    "settle",
    "withdraw",
]

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
        targets = ", ".join(shown(update.ref.removeprefix("refs/heads/"), 200).strip('"') for update in updates)
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


def announce_move(environment: Environment, old: str, new: str, *, by: User | None) -> Push:
    """Write down that Slipway itself is about to move a branch; then move it, and `settle`."""
    plan = {"kind": "head", "ref": f"refs/heads/{environment.branch}", "old": old, "new": new, "activate": False}
    return Push.objects.create(id=new_id(), project=environment.project, user=by, updates=[plan])


def settle(push_id: str) -> list[Activity]:
    """Record a move that was announced, if it came; else forget it. Returns the activities that follow."""
    return record(push_id) if Push.objects.filter(pk=push_id).exists() else []


def record(push: Push | str, moved: Collection[str] | None = None) -> list[Activity]:
    """Write what the push means, after Git moved the refs named in `moved` (unknown: look at the repository).

    Idempotent: what was recorded before is not again. Returns all activities of the push. Git is asked outside the
    transactions, one for each ref: a push of many branches must not hold up everybody else who writes.
    """
    row = Push.objects.select_related("project").get(pk=push if isinstance(push, str) else push.pk)
    repository = settings.HOME.repository(row.project_id)
    for plan in row.updates:
        if plan.get("done"):
            continue
        if _has_moved(repository, plan) if moved is None else plan["ref"] in moved:
            added = _added(row.project, *_range(row.project, plan)) if plan["kind"] == "head" else []
            _record_update(row.pk, plan["ref"], added)
    Push.objects.filter(pk=row.pk, recorded_at=None).update(recorded_at=timezone.now())
    row.refresh_from_db(fields=["updates", "recorded_at"])
    return list(Activity.objects.filter(pk__in=[plan["activity"] for plan in row.updates if plan.get("activity")]))


def has_unrecorded(project: Project) -> bool:
    """Whether `reconcile_refs` would find something to do."""
    stale = timezone.now() - _STALE
    left = Push.objects.filter(project=project, recorded_at=None, created_at__lt=stale)
    return left.exists() or bool(_unrecorded(project))


def reconcile_refs(project: Project) -> list[Activity]:
    """Bring activities and environments to what the refs say: pushes that were never recorded, heads nobody recorded.

    Safe to repeat at any time.
    """
    made: list[Activity] = []
    stale = timezone.now() - _STALE
    for push in Push.objects.filter(project=project, recorded_at=None, created_at__lt=stale).order_by("created_at"):
        made += record(push)
    if not _unrecorded(project):
        return made
    with transaction.atomic():
        locked = Project.objects.select_for_update().get(pk=project.pk)
        # In this order: whoever moves a ref writes the push down before, and records it under this lock.
        heads = _unrecorded(locked)
        if locked.state != Project.State.READY or Push.objects.filter(project=project, recorded_at=None).exists():
            return made
        for branch, commit in heads.items():
            made += _reconcile_branch(locked, branch, commit)
    return made


def _unrecorded(project: Project) -> dict[str, str]:
    """Branches that are elsewhere than was last recorded, and where."""
    heads = repositories.branches(settings.HOME.repository(project.pk))
    known = dict(project.environments.values_list("branch", "head_commit"))
    return {branch: commit for branch, commit in heads.items() if known.get(branch) not in ("", commit)}


def _reconcile_branch(project: Project, branch: str, commit: str) -> list[Activity]:
    environment = project.environments.filter(branch=branch).first()
    if environment is None:
        coming = Activity.objects.open().filter(project=project, kind=Kind.BRANCH, parameters__branch=branch)
        if not coming.exists() and not project.environments.filter(name=names.environment_id(branch)).exists():
            parent = project.environments.filter(branch=project.default_branch).first()
            make_row(project, branch=branch, type=EnvironmentType.INTEGRATION, parent=parent, commit=commit, by=None)
        return []
    if environment.status == Environment.Status.DELETING:
        return []
    old = environment.head_commit
    return [_activity(project, environment, old, commit, _added(project, old, commit), by=None)]


def _has_moved(repository: Path, plan: Mapping[str, Any]) -> bool:
    if not repository.exists():
        return False
    at = dict(repositories.refs(repository, plan["ref"])).get("", repositories.ZERO)
    if at == plan["new"] or repositories.ZERO in (at, plan["new"]):
        return bool(at == plan["new"])
    # A later push may have moved the branch on.
    return plan["kind"] != "tag" and repositories.is_ancestor(repository, plan["new"], at)


def _range(project: Project, plan: Mapping[str, Any]) -> tuple[str, str]:
    """The commits between which a branch's new ones are; those of a new branch begin at its parent's head."""
    if plan["old"] != repositories.ZERO:
        return plan["old"], plan["new"]
    branch = plan["ref"].removeprefix("refs/heads/")
    known = project.environments.select_related("parent").filter(branch=branch).first()
    parent = known.parent if known else Environment.objects.filter(pk=plan["parent"]).first()
    return parent.head_commit if parent else "", plan["new"]


def _added(project: Project, old: str, new: str) -> list[dict[str, str]]:
    """What the log and the page tell of the commits; all of `new`'s when `old` is not there (any more)."""
    repository = settings.HOME.repository(project.pk)
    if old and repositories.types(repository, [old]).get(old) != "commit":
        old = ""
    found = repositories.commits(repository, old, new, _COMMITS)
    return [{"sha": each.sha, "subject": each.subject, "author": each.author} for each in found]


def _record_update(push_id: str, ref: str, added: Sequence[Mapping[str, str]]) -> None:
    with transaction.atomic():
        # The project's lock: what asks for activities, deletes environments or reconciles refs waits meanwhile.
        Project.objects.select_for_update().filter(pushes=push_id).first()
        push = Push.objects.select_for_update(of=("self",)).select_related("project", "user").get(pk=push_id)
        plan = next(plan for plan in push.updates if plan["ref"] == ref)
        if plan.get("done"):
            return
        if plan["kind"] == "tag":
            audit.record("push.tag", by=push.user, project=push.project, target=ref, address=push.address)
        elif plan["kind"] == "delete":
            _record_delete(push, plan)
        else:
            activity = _record_head(push, plan, added)
            plan["activity"] = activity.pk if activity else ""
        plan["done"] = True
        push.save(update_fields=["updates"])


def _record_head(push: Push, plan: Mapping[str, Any], added: Sequence[Mapping[str, str]]) -> Activity | None:
    branch = plan["ref"].removeprefix("refs/heads/")
    environment = push.project.environments.filter(branch=branch).first() or _make_environment(push, plan, branch)
    if environment is None:
        return None
    wanted = [Kind.ACTIVATE, Kind.PUSH] if plan["activate"] and not environment.is_active else [Kind.PUSH]
    for kind in wanted:
        try:
            further: dict[str, Any] = {}
            if kind is Kind.ACTIVATE:
                check_room(push.project, environment)
                further = activation(environment, empty=bool(plan.get("empty")), by=push.user)
            return _activity(
                push.project,
                environment,
                plan["old"],
                plan["new"],
                added,
                kind=kind,
                by=push.user,
                address=push.address,
                push=push.pk,
                further=further,
            )
        except (Conflict, Denied, Missing):
            # It was allowed when the push was checked. What is left of it is a push to an inactive environment; and
            # while that is being deleted not even that: the branch goes with it.
            continue
    return None


def _make_environment(push: Push, plan: Mapping[str, Any], branch: str) -> Environment | None:
    """None when one that was made meanwhile took the name: then this is a branch without environment."""
    there = push.project.environments.exclude(status=Environment.Status.DELETING)
    usual = there.filter(branch=push.project.default_branch)
    made: Environment | None = None
    try:
        made = make_row(
            push.project,
            branch=branch,
            type=EnvironmentType(plan["type"]),
            parent=there.filter(pk=plan["parent"]).first() or usual.first(),
            commit=plan["new"],
            by=push.user,
            title=plan["title"],
        )
    except Conflict as error:
        refused = {"outcome": "refused", "reason": error.message}
    else:
        refused = {}
    audit.record(
        "environment.create", by=push.user, project=push.project, target=branch, address=push.address, **refused
    )
    return made


def _activity(
    project: Project,
    environment: Environment,
    old: str,
    new: str,
    added: Sequence[Mapping[str, str]],
    *,
    by: User | None,
    kind: Kind = Kind.PUSH,
    address: str = "",
    push: str = "",
    further: Mapping[str, Any] | None = None,
) -> Activity:
    activity = activities.create(
        kind=kind,
        project=project,
        environment=environment,
        by=by,
        parameters={
            **(further or {}),
            "commit": new,
            "previous": old,
            "commits": list(added),
            "push": push,
        },
        address=address,
    )
    Environment.objects.filter(pk=environment.pk).update(head_commit=new)
    return activity


def _record_delete(push: Push, plan: Mapping[str, Any]) -> None:
    branch = plan["ref"].removeprefix("refs/heads/")
    environment = push.project.environments.filter(branch=branch).first()
    if environment is None:
        return
    if environment.is_active or environment.children.exists() or environment.activities.open().exists():
        # Activated while the push was on its way. The environment stays, so its branch does.
        with contextlib.suppress(SlipwayError):  # somebody pushed it anew already
            repositories.create_branch(settings.HOME.repository(push.project_id), branch, plan["old"])
        return
    audit.record("environment.delete", by=push.user, project=push.project, target=branch, address=push.address)
    environment.delete()
    transaction.on_commit(lambda: live.publish(f"project:{push.project_id}", "environment"))
