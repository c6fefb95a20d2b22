"""SSH on an environment's page: the commands to copy, who is in now, and a button that closes a session."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from deployments.actions import ssh_sessions
from deployments.models import Release, SSHSession
from deployments.views import frame
from deployments.views.nodes import Node
from environments import access
from portal.errors import Missing
from portal.models import User
from portal.permissions import Permission
from portal.requests import address


@dataclass(frozen=True)
class Door:
    program: str
    command: str
    why_not: str  # empty when the person may


@dataclass(frozen=True)
class Open:
    session: SSHSession
    may_close: bool

    @property
    def doing(self) -> str:
        what = {"shell": "Shell", "command": "Command", "files": "SFTP", "tunnel": "Tunnel"}[self.session.kind]
        return f"{what} in {self.session.program}"


@dataclass(frozen=True)
class Card:
    doors: Sequence[Door]
    closed: str  # why nobody can go in now, or what happens to one that is paused
    open: Sequence[Open]


def card(node: Node, release: Release | None, user: User) -> Card:
    environment = node.environment
    programs = ssh_sessions.programs(release.configuration) if release else {}
    doors = [
        Door(
            name,
            command(f"{environment.project_id}-{environment.machine_name}--{name}"),
            "" if node.may(access.shell_right(environment, role)) else access.shell_denial(environment, role),
        )
        for name, role in programs.items()
    ]
    closes = node.may(Permission.OPERATE)
    present = ssh_sessions.present(environment) if release else ()  # where nothing is live, nobody can be
    opened = [Open(each, closes or each.user_id == user.pk) for each in present]
    asleep = f"{environment.title} is paused: whoever connects wakes it." if environment.is_paused else ""
    return Card(doors, asleep or ssh_sessions.why_closed(environment, release), opened)


def command(user_name: str) -> str:
    port = "" if settings.PUBLIC_SSH_PORT == 22 else f"-p {settings.PUBLIC_SSH_PORT} "
    return f"ssh {port}{user_name}@{settings.BASE_DOMAIN}"


@login_required
@require_POST
def ssh_session_close(request: HttpRequest, project_id: str, name: str, session_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    environment = framed.node(name).environment
    found = SSHSession.objects.select_related("user", "environment__project")
    number = int(session_id) if session_id.isascii() and session_id.isdigit() and len(session_id) < 18 else 0
    session = found.filter(pk=number, environment=environment).first()
    if session is None:
        raise Missing("This session has ended already.")
    ssh_sessions.ask_to_close(session, by=framed.user, address=address(request))
    messages.success(request, f"The session of {session.user} ends within seconds.")
    return redirect("environment", project_id, name)
