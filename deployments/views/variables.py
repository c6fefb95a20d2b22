"""The pages of variables, of a project and of its environments: one table, saved as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from deployments.actions import variables as actions
from deployments.actions.variables import Draft, Outdated, Wrong
from deployments.views import frame, variable_preview, variable_rows
from deployments.views.nodes import Node
from deployments.views.sections import Place
from deployments.views.variable_rows import Row
from environments import env_files, variable_checks
from environments.models import Environment, Variable
from portal.errors import Denied, Invalid, SlipwayError
from portal.permissions import Permission
from portal.requests import address

_HINT = "env:"


@dataclass(frozen=True)
class Said:
    """What the form holds besides its rows."""

    rows: Sequence[Row]
    version: str
    redeploy: Sequence[str] = ()  # names of environments
    error: str = ""
    preview: variable_preview.Preview | None = None
    pasted: str = ""
    pasted_error: str = ""
    status: int = 200


@login_required
@require_GET
def show(request: HttpRequest, project_id: str, name: str = "") -> HttpResponse:
    place = Place.of(request, project_id, name)
    known = _own(place)
    rows = [variable_rows.stored(variable) for variable in known]
    added = request.GET.get("add", "")
    if added and not any(row.draft.name == added for row in rows):
        rows.append(variable_rows.blank(added[: variable_checks.MAX_NAME], enabled="hide" not in request.GET))
    redeploy = [name] if name else []
    return _page(request, place, known, Said(rows, actions.version(known), redeploy))


@login_required
@require_POST
def save(request: HttpRequest, project_id: str, name: str = "") -> HttpResponse:
    place = Place.of(request, project_id, name)
    _check_may(place)
    known = _own(place)
    said = Said(variable_rows.typed(request.POST, known), request.POST.get("version", ""), _ticked(request))
    if "more" in request.POST:
        return _page(request, place, known, replace(said, rows=[*said.rows, variable_rows.blank()]))
    touched = [number for number, row in enumerate(said.rows) if row.touched]
    drafts = [said.rows[number].draft for number in touched]
    try:
        if "preview" in request.POST:
            return _page(request, place, known, replace(said, preview=_preview(place, known, said, drafts)))
        environments = _environments(place, said.redeploy)
        names, asked = actions.save(
            place.project,
            place.environment_or_none,
            drafts,
            seen=said.version,
            by=place.frame.user,
            redeploy=environments,
            address=address(request),
        )
    except Wrong as error:
        rows = variable_rows.told(said.rows, error.rows, touched)
        return _page(request, place, known, replace(said, rows=rows, error=error.message, status=400))
    except Outdated as error:
        return _page(request, place, *_outdated(place, said, error.message))
    except SlipwayError as error:
        if isinstance(error, Denied):
            raise
        status = 400 if isinstance(error, Invalid) else 409
        return _page(request, place, known, replace(said, error=error.message, status=status))
    messages.success(request, _told(place, names, asked))
    if len(asked) == 1:
        return redirect("activity", place.project.pk, asked[0].pk)
    return redirect(_url(place))


def _outdated(place: Place, said: Said, message: str) -> tuple[list[Variable], Said]:
    known = _own(place)  # as it is now
    rows = variable_rows.brought_up(said.rows, known)
    return known, replace(said, rows=rows, version=actions.version(known), error=message, status=409)


def _preview(place: Place, known: Sequence[Variable], said: Said, drafts: Sequence[Draft]) -> variable_preview.Preview:
    if actions.version(known) != said.version:
        raise Outdated(actions.told_of_others(place.project, place.environment_or_none))
    return variable_preview.preview(place, known, actions.planned(known, drafts))


@login_required
@require_POST
def import_(request: HttpRequest, project_id: str, name: str = "") -> HttpResponse:
    place = Place.of(request, project_id, name)
    _check_may(place)
    known = _own(place)
    said = Said([variable_rows.stored(variable) for variable in known], actions.version(known), _ticked(request))
    pasted = request.POST.get("text", "")
    try:
        if (file := request.FILES.get("file")) is not None:
            if (file.size or 0) > env_files.MAX_BYTES:
                raise Invalid("The file is larger than 1 MiB.")
            pasted = file.read().decode()
        entries = env_files.read(pasted)
        if not entries:
            raise Invalid("There is no NAME=value line in it.")
    except UnicodeDecodeError:
        return _page(request, place, known, replace(said, pasted_error="The file is not UTF-8 text.", status=400))
    except Invalid as error:
        return _page(request, place, known, replace(said, pasted=pasted, pasted_error=error.message, status=400))
    messages.info(request, f"Taken into the table: {len(entries)}. Nothing is saved yet.")
    return _page(request, place, known, replace(said, rows=variable_rows.imported(said.rows, entries)))


@login_required
@require_GET
def export(request: HttpRequest, project_id: str, name: str = "") -> HttpResponse:
    place = Place.of(request, project_id, name)
    _check_may(place)
    answer = HttpResponse(env_files.write(_own(place)), content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name or project_id}.env"'
    answer["Cache-Control"] = "no-store"
    return answer


def _page(request: HttpRequest, place: Place, known: Sequence[Variable], said: Said) -> HttpResponse:
    may = not place.why_not(_right(place))
    rows = [*said.rows, *([variable_rows.blank()] * variable_rows.SPARE if may else [])]
    shown: dict[str, Any] = {
        "rows": rows if may else [],
        "names": [variable.name for variable in known],
        "said": said,
        "why_not": place.why_not(_right(place)),
        "last": max(known, key=lambda variable: variable.changed_at, default=None),
        "url": _url(place),
        "in_project": place.node is None,
        "prefix": _HINT,
        "status": said.status,
    }
    if place.node is None:
        shown["environments"] = [(node, node.environment.name in said.redeploy) for node in _active(place)]
        crumb = frame.Crumb("Variables")
        return frame.page(request, "portal/project_variables.html", place.frame, crumb, place="variables", **shown)
    found = variable_preview.effective_of(place.environment, place.frame, known)
    shown |= {"effective": found, "live": variable_preview.live_of(place.environment)}
    shown["pending"] = variable_preview.pending(found, shown["live"])
    shown["ticked"] = bool(said.redeploy)
    shown["below"] = _titles(place.node)
    return frame.environment_page(
        request,
        "environments/variables.html",
        place.frame,
        place.node,
        frame.Crumb("Variables"),
        tab="environment_variables",
        **shown,
    )


def _told(place: Place, names: actions.Names, asked: Sequence[Any]) -> str:
    done = f"Saved: {names}." if names else "Nothing was changed."
    if asked:
        return f"{done} {len(asked)} redeployment{'' if len(asked) == 1 else 's'} asked for."
    return f"{done} It takes effect with the next deployment." if names else done


def _titles(node: Node) -> list[str]:
    found: list[str] = []
    for child in node.children:
        found += [child.environment.title, *_titles(child)]
    return found


def _own(place: Place) -> list[Variable]:
    return actions.own(place.project, place.environment_or_none)


def _right(place: Place) -> Permission:
    return Permission.OPERATE if place.node else Permission.MANAGE_PROJECT


def _check_may(place: Place) -> None:
    why_not = place.why_not(_right(place))
    if why_not:
        raise Denied(why_not)


def _active(place: Place) -> list[Node]:
    return [node for node in place.frame.nodes if node.is_active]


def _ticked(request: HttpRequest) -> list[str]:
    return request.POST.getlist("redeploy")


def _environments(place: Place, names: Sequence[str]) -> list[Environment]:
    """Those that are to be redeployed; an inactive one has nothing to redeploy."""
    if place.node is not None:
        return [place.environment] if names and place.environment.is_active else []
    return [node.environment for node in _active(place) if node.name in names]


def _url(place: Place) -> str:
    return reverse(f"{place.kind}_variables", args=place.arguments)
