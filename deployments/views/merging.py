"""The pages of a merge and of a synchronization: first what it brings, then how, then it is asked for.

What it brings takes Git a while, so that part comes after the page; without JavaScript a link brings it.
"""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from deployments.actions import merges, removals
from deployments.enums import Kind
from deployments.pipeline.merge import commands
from deployments.views import buttons, frame
from deployments.views.forms import JoinForm, tell
from deployments.views.nodes import Node
from environments import comparing
from environments.comparing import Preview
from environments.models import Environment
from environments.process import ProcessError
from portal.errors import Conflict, Invalid, Missing
from portal.permissions import Permission
from portal.requests import address

_MOST_COLLISIONS = 100  # told one by one


@dataclass(frozen=True)
class Joining:
    """One direction of one edge: the code of `source` into `target`."""

    kind: Kind
    source: Environment
    target: Environment

    @property
    def verb(self) -> str:
        return "Merge" if self.kind is Kind.MERGE else "Sync"

    def preview(self) -> Preview | None:
        """None when Git cannot say."""
        path = settings.HOME.repository(self.target.project_id)
        try:
            return comparing.preview(path, self.target.head_commit, self.source.head_commit)
        except (ProcessError, Missing, OSError, ValueError):
            return None

    def rebase_problem(self) -> str:
        """Why the target cannot be put on top of the source; empty when it can."""
        path = settings.HOME.repository(self.target.project_id)
        try:
            at, collisions = comparing.rebase_collision(path, self.target.head_commit, self.source.head_commit)
        except Conflict as error:
            return error.message
        except (ProcessError, Missing, OSError, ValueError):
            return "Git cannot say what that gives."
        files = ", ".join(each.path for each in collisions[:5])
        return f"The commit “{at}” does not fit: {files}." if collisions else ""


@dataclass(frozen=True)
class Way:
    """One way to join the commits."""

    value: str
    title: str
    note: str
    why_not: str = ""


def _view(kind: Kind) -> str:
    return f"environment_{kind.value.removeprefix('environment.')}"


def _joining(node: Node, kind: Kind) -> Joining | None:
    if node.parent is None:
        return None
    ends = (node.environment, node.parent.environment)
    return Joining(kind, *ends) if kind is Kind.MERGE else Joining(kind, *reversed(ends))


def ways(joining: Joining, preview: Preview) -> list[Way]:
    source, target = joining.source.title, joining.target.title
    if preview.way == "fast-forward":
        return [
            Way(merges.USUAL, "Fast-forward", f"{target} goes to the newest commit of {source}. No commit is made."),
            Way(merges.COMMIT, "Merge commit", "By you, so that the history shows where the branch came in."),
        ]
    collides = "It cannot be done as long as files collide." if preview.collisions else ""
    found = [Way(merges.USUAL, "Merge commit", "By you: it joins both histories as they are.", collides)]
    if joining.kind is Kind.SYNCHRONIZE:
        own = f"{preview.behind} {'commit' if preview.behind == 1 else 'commits'}"
        note = f"Your {own} are written anew on top. Whoever has {target} checked out must fetch it anew."
        found.append(Way(merges.REBASE, "Rebase", note, joining.rebase_problem()))
    return found


@login_required
@require_http_methods(["GET", "POST"])
def environment_merge(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    return _page(request, project_id, name, Kind.MERGE)


@login_required
@require_http_methods(["GET", "POST"])
def environment_synchronize(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    return _page(request, project_id, name, Kind.SYNCHRONIZE)


@login_required
@require_GET
def environment_merge_preview(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    return _fragment(request, project_id, name, Kind.MERGE)


@login_required
@require_GET
def environment_synchronize_preview(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    return _fragment(request, project_id, name, Kind.SYNCHRONIZE)


def _fragment(request: HttpRequest, project_id: str, name: str, kind: Kind) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    joining = _joining(node, kind)
    if joining is None:
        raise Missing("There is no environment above it that you may see.")
    return render(request, "environments/_preview.html", _previewed(framed, node, joining, JoinForm()))


def _page(request: HttpRequest, project_id: str, name: str, kind: Kind) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    joining = _joining(node, kind)
    form = JoinForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("activity", project_id, _ask(request, framed, node, kind, form.cleaned_data).pk)
        except (Conflict, Invalid) as error:
            tell(form, error.field, error.message)
            framed = frame.load(request, project_id)  # what moved meanwhile is shown as it is now
            node = framed.node(name)
            joining = _joining(node, kind)
    verb = "Merge" if kind is Kind.MERGE else "Sync"
    preview_url = reverse(f"{_view(kind)}_preview", args=[project_id, name])
    inline = joining is not None and (form.is_bound or "preview" in request.GET)
    shown = _previewed(framed, node, joining, form) if joining is not None and inline else {}
    context: dict[str, Any] = {
        "node": node,
        "environment": node.environment,
        "joining": joining,
        "verb": verb,
        "inline": inline,
        "preview_url": preview_url,
        "form": form,
        "top": buttons.why_not(node, buttons.situation(framed, node), kind) if joining is None else "",
    }
    return frame.page(
        request,
        "environments/join.html",
        framed,
        frame.Crumb(node.environment.title, node.url),
        frame.Crumb(verb),
        here=node.environment.name,
        status=400 if form.is_bound else 200,
        **{**context, **shown},
    )


def _ask(request: HttpRequest, framed: frame.Frame, node: Node, kind: Kind, given: dict[str, Any]) -> Any:
    """Raises SlipwayError."""
    asked = {"by": framed.user, "how": given["how"] or merges.USUAL, "seen": given["seen"], "address": address(request)}
    if kind is Kind.MERGE:
        return merges.merge(node.environment, delete=given["delete"], **asked)
    return merges.synchronize(node.environment, **asked)


def _previewed(framed: frame.Frame, node: Node, joining: Joining, form: JoinForm) -> dict[str, Any]:
    """What _preview.html shows."""
    preview = joining.preview()
    kind, source, target = joining.kind, joining.source, joining.target
    collisions = list(preview.collisions[:_MOST_COLLISIONS]) if preview else []
    keeps = removals.why_never(node.environment) or node.why_not(Permission.DELETE)
    return {
        "project": framed.project,
        "node": node,
        "environment": node.environment,
        "joining": joining,
        "form": form,
        "preview": preview,
        "collisions": collisions,
        "commands": commands(kind, merges.USUAL, source.branch, target.branch, collisions) if collisions else [],
        "ways": ways(joining, preview) if preview and preview.way not in ("nothing", "impossible") else [],
        "chosen": form["how"].value() or _first(joining, preview),
        "keeps": keeps,
        "deletes": bool(form["delete"].value()) or (framed.project.delete_merged and not keeps),
        "always_deletes": framed.project.delete_merged and not keeps,
        "why_not": _why_not(framed, node, joining, preview),
        "action": reverse(
            f"environment_{kind.value.removeprefix('environment.')}", args=[framed.project.pk, node.environment.name]
        ),
    }


def _first(joining: Joining, preview: Preview | None) -> str:
    """The first way that is possible."""
    if preview is None or preview.way in ("nothing", "impossible"):
        return merges.USUAL
    return next((way.value for way in ways(joining, preview) if not way.why_not), merges.USUAL)


def _why_not(framed: frame.Frame, node: Node, joining: Joining, preview: Preview | None) -> str:
    """Why the button cannot be pressed."""
    reason = buttons.why_not(node, buttons.situation(framed, node), joining.kind)
    if reason or preview is None:
        return reason or "Git cannot compare the two branches just now. Look again in a moment."
    if preview.way == "nothing":
        return f"{joining.target.title} holds every commit of {joining.source.title}."
    if preview.problem:
        return preview.problem
    if preview.broken and joining.target.is_active and not preview.collisions:
        return f"What comes out cannot run on {joining.target.title}: its configuration is wrong."
    if all(way.why_not for way in ways(joining, preview)):
        return "Files collide: settle them first."
    return ""
