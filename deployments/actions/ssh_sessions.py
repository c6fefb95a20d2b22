"""People in environments over SSH: where a user name leads, who may go there, and the record of who is in."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from deployments import live
from deployments.actions import pausing
from deployments.enums import Kind, State
from deployments.models import Activity, Release, SSHSession
from deployments.pipeline.confidential import redactor_of
from deployments.redaction import MARK
from environments import access
from environments.models import Environment
from portal import audit
from portal.errors import Conflict, Denied, Missing
from portal.models import User
from portal.permissions import Permission

SEEN_EVERY = 10.0  # seconds between two signs of life of the process that holds a session
LOST_AFTER = timedelta(seconds=60)  # without one: its process was killed
MOST_PER_PERSON = 24  # at once
MOST_PER_ENVIRONMENT = 60
DEFAULT_THRESHOLD = "contributor"
_DISCOURAGED = timedelta(seconds=30)  # after a failure to wake it
_LONGEST_COMMAND = 500  # characters that are kept

# Passwords that are given to programs as arguments, whatever they are.
_GIVEN = re.compile(
    r"(?P<before>(?:--?(?:pass(?:word|wd)?|pwd|token|secret|api-?key)[= ]\s*"
    r"|\b\w*(?:PASSWORD|PASSWD|SECRET|TOKEN|_PWD)\w*=|(?:mysql|maria)\S*\s(?:.*\s)?-p(?=\S)|://[^/@\s:]*:))"
    r"(?P<secret>'[^']*'|\"[^\"]*\"|[^\s@'\"]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Address:
    """One way to read a user name: which environment it may mean, and which program there ("" for the first app)."""

    project_id: str
    environment: str  # its id or machine name
    program: str


@dataclass(frozen=True)
class Way:
    """Where a user name leads: a program of an environment's live release."""

    environment: Environment
    release: Release
    program: str
    user: User


def programs(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The apps and workers of a release, each with its `access: ssh:`, apps first; from `Release.configuration`."""
    apps: Mapping[str, Any] = configuration.get("apps") or {}
    found = {name: _threshold(app) for name, app in apps.items()}
    for name, app in apps.items():
        workers = (app.get("workers") or {}) if isinstance(app, dict) else {}
        found |= {f"{name}--{worker}": _threshold(told) for worker, told in workers.items()}
    return found


def _threshold(told: Any) -> str:
    asked = told.get("access") if isinstance(told, dict) else None
    return str((asked or {}).get("ssh") or DEFAULT_THRESHOLD)


def find(user: User | None, addresses: Sequence[Address]) -> Way:
    """The first of these that exists, for somebody who may go in. Raises Missing for whatever is not there or not
    allowed, which look the same; Conflict when there is nothing to go into now."""
    environment, program = _environment(addresses)
    if user is None or environment is None:
        raise Missing("There is no such environment, or you have no access to it.")
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    known = programs(release.configuration) if release else {}
    program = program or next(iter(known), "")
    try:
        # Where nothing is live there is no file that asks for another role; being strict about it gives nothing away.
        access.check_shell(user, environment, known.get(program, DEFAULT_THRESHOLD))
    except Denied as error:
        raise Missing(error.message) from error
    why_not = why_closed(environment, release)
    if why_not or release is None:
        raise Conflict(why_not)
    if program not in known:
        there = ", ".join(known)
        raise Conflict(f"{environment.title} has no app or worker of this name. It has: {there}.")
    return Way(environment, release, program, user)


def _environment(addresses: Sequence[Address]) -> tuple[Environment | None, str]:
    for address in addresses:
        inside = Environment.objects.select_related("project").filter(project=address.project_id)
        found = (
            inside.filter(machine_name=address.environment).first() or inside.filter(name=address.environment).first()
        )
        if found is not None:
            return found, address.program
    return None, ""


def wake(user: User, addresses: Sequence[Address], *, address: str) -> bool:
    """Have a paused environment woken, for somebody who may go in. False when it is not paused, or did not wake up."""
    environment, _ = _environment(addresses)
    if environment is None or not environment.is_paused:
        return False
    last = Activity.objects.filter(environment=environment, kind=Kind.RESUME).order_by("-sequence").first()
    if last is not None and last.state == State.FAILED and last.created_at > timezone.now() - _DISCOURAGED:
        return False
    pausing.resume(environment, by=user, address=address)
    return True


def why_closed(environment: Environment, release: Release | None) -> str:
    """Why nobody can go in now, whoever they are; empty when people can."""
    if environment.status == Environment.Status.DELETING:
        return f"{environment.title} is being deleted."
    if not environment.is_active:
        return f"{environment.title} is inactive: nothing runs there. Activate it first."
    if environment.is_paused:
        return f"{environment.title} is paused, and did not wake up. Its page in the portal says why."
    if release is None:
        return f"Nothing is deployed on {environment.title} yet. Try again after its first deployment."
    return ""


def refuse(user: User, addresses: Sequence[Address], *, address: str) -> None:
    """Note that somebody was not let in to an environment that exists."""
    environment, program = _environment(addresses)
    if environment is not None:
        audit.record(
            "ssh.open",
            by=user,
            project=environment.project,
            target=environment.title,
            address=address,
            outcome="refused",
            program=program,
        )


def open_session(way: Way, *, kind: SSHSession.Kind, command: str = "", address: str) -> SSHSession:
    """Record that the person goes in; call it before they do. Raises Conflict when too many are in."""
    here = SSHSession.objects.filter(seen_at__gte=timezone.now() - LOST_AFTER)
    if here.filter(user=way.user).count() >= MOST_PER_PERSON:
        raise Conflict(f"You have {MOST_PER_PERSON} sessions open. Close some first.")
    if here.filter(environment=way.environment).count() >= MOST_PER_ENVIRONMENT:
        raise Conflict(f"{MOST_PER_ENVIRONMENT} sessions are open in {way.environment.title}. Try again later.")
    shown = without_secrets(way.environment, command)
    with transaction.atomic():
        session = SSHSession.objects.create(
            environment=way.environment,
            user=way.user,
            address=address,
            program=way.program,
            kind=kind,
            command=shown,
        )
        _audit("ssh.open", session, release=str(way.release))
    _tell(session)
    return session


def end_session(session: SSHSession, **facts: Any) -> None:
    """Record that they are out again: `facts` are the seconds, bytes, exit code, and why if we ended it."""
    with transaction.atomic():
        SSHSession.objects.filter(pk=session.pk).delete()
        _audit("ssh.close", session, **facts)
    _tell(session)


def ask_to_close(session: SSHSession, *, by: User, address: str) -> None:
    """Have a session ended by the process that holds it, which looks every two seconds."""
    if by != session.user:
        access.check(by, session.environment, Permission.OPERATE)
    with transaction.atomic():
        SSHSession.objects.filter(pk=session.pk).update(close_asked_by=by)
        audit.record(
            "ssh.ask_to_close",
            by=by,
            project=session.environment.project,
            target=session.environment.title,
            address=address,
            person=str(session.user),
            kind=session.kind,
        )


def ended(ids: Collection[int]) -> dict[int, str]:
    """Of the open sessions with these keys, those that must end now, and why."""
    found = SSHSession.objects.select_related("environment__project", "user", "close_asked_by").filter(pk__in=ids)
    reasons = dict.fromkeys(ids, "The environment is gone.")
    known: dict[tuple[int, int, str], str] = {}
    for session in found:
        key = (session.user_id, session.environment_id, session.program)
        if key not in known:
            known[key] = _why_end(session)
        closed = f"{session.close_asked_by} has closed this session." if session.close_asked_by else ""
        reasons[session.pk] = closed or known[key]
    return {pk: reason for pk, reason in reasons.items() if reason}


def _why_end(session: SSHSession) -> str:
    environment = session.environment
    release = Release.objects.filter(environment=environment, state=Release.State.LIVE).first()
    threshold = programs(release.configuration).get(session.program) if release else None
    if not access.can_shell(session.user, environment, threshold or DEFAULT_THRESHOLD):
        return "You may not be in this environment any more."
    return why_closed(environment, release)


def still_here(ids: Collection[int]) -> None:
    SSHSession.objects.filter(pk__in=ids).update(seen_at=Now())


def forget_lost() -> None:
    """Remove the rows of sessions whose process was killed, and with it everything in them."""
    for session in SSHSession.objects.filter(seen_at__lt=timezone.now() - LOST_AFTER):
        end_session(session, reason="the ssh process was lost")


def present(environment: Environment) -> list[SSHSession]:
    """Who is in the environment now."""
    fresh = SSHSession.objects.filter(environment=environment, seen_at__gte=timezone.now() - LOST_AFTER)
    return list(fresh.select_related("user"))


def without_secrets(environment: Environment, command: str) -> str:
    if not command:
        return ""
    shown = redactor_of(environment).text(command)
    return _GIVEN.sub(lambda found: found["before"] + MARK, shown)[:_LONGEST_COMMAND]


def _audit(action: str, session: SSHSession, **details: Any) -> None:
    environment = session.environment
    if session.command:
        details["command"] = session.command
    audit.record(
        action,
        by=session.user,
        project=environment.project,
        target=environment.title,
        address=session.address,
        session=session.pk,
        kind=session.kind,
        program=session.program,
        **details,
    )


def _tell(session: SSHSession) -> None:
    transaction.on_commit(lambda: live.publish(f"project:{session.environment.project_id}", "environment"))
