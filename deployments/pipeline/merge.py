"""Code up (merge) and down (synchronize): join two commits, check what comes out, move the branch in one step.

The branch is moved as a push moves it: what is about to happen is written down first (Push), so that a worker that dies
between Git and the database leaves something from which the rest is found. What follows, a deployment where the
environment is active, is an activity of its own behind this one.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

from deployments import state
from deployments.actions import merges, pushes, removals
from deployments.enums import Kind
from deployments.models import Activity
from deployments.pipeline.context import BOLD, FAINT, PLAIN, YELLOW, Context, Part, Procedure
from deployments.pipeline.failures import Failure
from environments import comparing, repositories
from environments.backing import fitness
from environments.manifest import ManifestError
from environments.models import Environment
from environments.repositories import Collision, Person
from environments.runtimes.base import Runtime
from portal.errors import Conflict

_TRIES = 5  # while others push to the branch that is to move
_TOLD = 10  # files in a sentence
_SUBJECTS = 20  # lines of the log


@dataclass(frozen=True)
class Join:
    """`old` is where the branch is, `new` where it goes. The same: there is nothing to do."""

    old: str
    new: str
    way: str  # as in "fast-forward"


def _parts(context: Context) -> list[Part]:
    return [
        Part("join", "Join the commits", _join),
        Part("check", "Check configuration", _check),
        Part("move", "Move the branch", _move, cancellable=False),
    ]


def _join(context: Context) -> str | None:
    told, target = context.activity.parameters, context.environment
    context.log.line(f"{told['title']} is at {told['commit'][:7]}; it goes into {target.title}")
    joined = _worked_out(context)
    repository = settings.HOME.repository(context.project.pk)
    added = repositories.commits(repository, joined.old, joined.new, _SUBJECTS)
    for commit in added:
        context.say(f"{commit.sha[:7]} {commit.subject} {FAINT}({commit.author}){PLAIN}")
    return joined.way


def _worked_out(context: Context) -> Join:
    """What is to be done with the branch as it is now. Raises Failure when a person must decide."""
    told, target = context.activity.parameters, context.environment
    repository = settings.HOME.repository(context.project.pk)
    old = repositories.head(repository, target.branch)
    if old is None:
        raise Failure("branch-missing", f"The branch {target.branch} is not in the repository any more.")
    theirs, how = told["commit"], told["how"]
    if repositories.is_ancestor(repository, theirs, old):
        return Join(old, old, "nothing to do")
    if how != merges.COMMIT and repositories.is_ancestor(repository, old, theirs):
        return Join(old, theirs, "fast-forward")
    if how == merges.REBASE:
        return _rebased(context, old)
    joined = repositories.join(repository, old, theirs)
    if joined.collisions:
        raise _collision(context, joined.collisions)
    message = f"Merge {told['branch']} into {target.branch}"
    new = repositories.write_commit(repository, joined.tree, [old, theirs], message, _person(context))
    return Join(old, new, "merge commit")


def _rebased(context: Context, old: str) -> Join:
    repository = settings.HOME.repository(context.project.pk)
    done = repositories.rebase(repository, old, context.activity.parameters["commit"], _person(context))
    if done.collisions:
        raise _collision(context, done.collisions, at=done.at)
    return Join(old, done.commit, "rebase")


def _person(context: Context) -> Person:
    """The acting person; at the time of asking, so that a second attempt makes the same commit."""
    activity = context.activity
    email = activity.actor.email if activity.actor else "slipway@localhost"
    return Person(activity.actor_name, email, activity.created_at)


def _collision(context: Context, collisions: Sequence[Collision], at: str = "") -> Failure:
    """Tells each file in the log, and how to settle it at home."""
    told, target, log = context.activity.parameters, context.environment, context.log
    log.line()
    log.line(f"{BOLD}What collides{PLAIN}" + (f" {FAINT}at the commit “{at}”{PLAIN}" if at else ""))
    for collision in collisions:
        context.say(f"{collision.path}: {collision.why}", YELLOW)
    log.line()
    log.line(f"{BOLD}Settle it in a clone{PLAIN}")
    for command in commands(context.activity.kind, told["how"], told["branch"], target.branch, collisions):
        context.say(command)
    context.activity.payload["collisions"] = [collision.path for collision in collisions]
    context.activity.save(update_fields=["payload"])
    named = ", ".join(collision.path for collision in collisions[:_TOLD])
    more = f" and {len(collisions) - _TOLD} more" if len(collisions) > _TOLD else ""
    return Failure(
        "merge-collision",
        f"{told['title']} and {target.title} both changed {named}{more}. Nothing was moved. "
        "The log says how to settle it in a clone; then ask again.",
    )


def commands(kind: str, how: str, source: str, target: str, collisions: Sequence[Collision]) -> list[str]:
    """What to type in a clone. A merge is settled on the child's side: its admin may push there."""
    child, parent = (source, target) if kind == Kind.MERGE else (target, source)
    files = " ".join(shlex.quote(collision.path) for collision in collisions)
    begin = ["git fetch origin", f"git switch {shlex.quote(child)}", "git pull --ff-only"]
    edit = ["# edit each file until it is as it should be, then:", f"git add -- {files}"]
    upstream = shlex.quote(f"origin/{parent}")
    if how == merges.REBASE:
        return [*begin, f"git rebase {upstream}", *edit, "git rebase --continue", "git push --force-with-lease"]
    last = [f"# then merge {child} into {parent} here once more"] if kind == Kind.MERGE else []
    return [
        *begin,
        f"git merge {upstream}",
        *edit,
        "git commit --no-edit",
        f"git push origin {shlex.quote(child)}",
        *last,
    ]


def _check(context: Context) -> str | None:
    _check_configuration(context, _worked_out(context).new)
    return None


def _check_configuration(context: Context, commit: str) -> None:
    """As a push is checked: an environment that runs must not be given what cannot run. Raises ManifestError."""
    repository = settings.HOME.repository(context.project.pk)
    if not context.environment.is_active and not comparing.has_configuration(repository, commit):
        return
    manifest = comparing.load(repository, commit)
    errors, warnings = fitness.examine(manifest, context.runtime)
    if errors:
        raise ManifestError(errors)
    for problem in [*manifest.warnings, *warnings]:
        context.log.line(f"{YELLOW}warning: {problem}{PLAIN}")


def _move(context: Context) -> str | None:
    """Once the branch has moved, and that is written down, it is done; whoever repeats this finds it so."""
    _finish_earlier(context)
    checked = ""
    for attempt in range(_TRIES):
        joined = _worked_out(context)
        if joined.old == joined.new:
            return _done(context, joined)
        if attempt and joined.new != checked:
            context.log.line(f"{context.environment.title} has moved on to {joined.old[:7]} meanwhile: joined anew")
            _check_configuration(context, joined.new)
        checked = joined.new
        if _moves(context, joined):
            return _done(context, joined)
    raise Conflict(f"{context.environment.title} is pushed to again and again. Try once more in a moment.")


def _moves(context: Context, joined: Join) -> bool:
    """Move the branch from where it was looked at; False when it is not there any more."""
    activity, environment = context.activity, context.environment
    repository = settings.HOME.repository(context.project.pk)
    _check_rights(context)
    with state.fenced(activity):  # none of it when the claim is somebody else's, who does it then
        push = pushes.announce_move(environment, joined.old, joined.new, by=activity.actor)
        activity.payload["push"] = push.pk
        activity.save(update_fields=["payload"])
    with state.fenced(activity):
        moved = repositories.move(
            repository, environment.branch, joined.old, joined.new, f"{activity.kind} {activity.pk}"
        )
    if not moved:
        pushes.withdraw(push.pk)
        return False
    _record(context, push.pk)
    return True


def _check_rights(context: Context) -> None:
    """A right that was taken away while it waited counts."""
    by, source = context.activity.actor, context.activity.source
    if by is not None and source is not None and context.activity.kind == Kind.MERGE:
        merges.check_may_merge(by, source, context.environment)


def _finish_earlier(context: Context) -> None:
    """Record the move of an attempt whose worker was lost, if there was one."""
    if context.activity.payload.get("push"):
        _record(context, context.activity.payload["push"])


def _record(context: Context, push: str) -> None:
    made = pushes.settle(push)
    if made:
        context.activity.payload["follow"] = made[0].pk
        context.activity.save(update_fields=["payload"])


def _done(context: Context, joined: Join) -> str | None:
    activity, target = context.activity, Environment.objects.get(pk=context.environment.pk)
    title = activity.parameters["title"]
    follow = Activity.objects.filter(pk=activity.payload.get("follow", "")).first()
    if follow is None:
        context.outcome = f"{target.title} held everything of {title} already."
    else:
        commit = follow.parameters["commit"][:7]
        what = (
            f"{title} is merged into {target.title}"
            if activity.kind == Kind.MERGE
            else f"{target.title} has the code of {title}"
        )
        after = "; it is deployed next." if target.is_active else "."
        context.outcome = f"{what}, now at {commit}{after}"
    context.log.line(context.outcome)
    if activity.kind == Kind.MERGE and activity.source is not None:
        announced = removals.after_merge(activity.source, asked=bool(activity.parameters.get("delete")))
        if announced:
            context.log.line(announced)
    return None


def _resumes(activity: Activity) -> bool:
    return True


def _undo(activity: Activity, runtime: Runtime) -> None:
    """Nothing moves back. A move that was announced and never came is forgotten, one that came is recorded."""
    if activity.payload.get("push"):
        pushes.settle(activity.payload["push"])


PROCEDURE = Procedure(parts=_parts, resumes=_resumes, undo=_undo)
