from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from deployments import access
from deployments.actions import activities as actions
from deployments.actions import retries
from deployments.enums import Fault, State, StepState
from deployments.models import Activity, LogChunk, Step
from deployments.views import feed, frame, log_view
from portal.errors import Missing
from portal.permissions import Permission
from portal.requests import address, person

_PAGE = 50
_NUMBER_DIGITS = 9


@login_required
@require_GET
def activities(request: HttpRequest, project_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    keys = [node.pk for node in framed.nodes]
    seen = access.seen_by(framed.member, keys).select_related("environment", "project")
    page = Paginator(seen, _PAGE).get_page(request.GET.get("page"))
    return frame.page(
        request,
        "deployments/activities.html",
        framed,
        frame.Crumb("Activities"),
        place="activities",
        page=page,
        entries=feed.entries(page.object_list),
    )


@login_required
@require_GET
def activity(request: HttpRequest, project_id: str, activity_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    shown = _find(framed, activity_id)
    node = framed.node_of(shown.environment_id)
    crumbs = [frame.Crumb(node.environment.title, node.url)] if node else []
    words = request.GET.get("find", "").strip()[:200]
    return frame.page(
        request,
        "deployments/activity.html",
        framed,
        *crumbs,
        frame.Crumb(feed.title(shown)),
        here=node.environment.name if node else "",
        place="" if node else "activities",
        words=words,
        found=log_view.search(shown, words) if words else None,
        **context(shown, framed, around=_number(request.GET.get("line"))),
    )


def _find(framed: frame.Frame, activity_id: str) -> Activity:
    """Raises Missing, for an activity that the person may not see as for one that does not exist."""
    seen = access.seen_by(framed.member, [node.pk for node in framed.nodes])
    whole = seen.select_related("project", "environment", "actor").prefetch_related("steps")
    found = whole.filter(pk=activity_id).first()
    if found is None:
        raise Missing("There is no such activity, or you have no access to it.")
    return found


def _number(text: str | None) -> int | None:
    """A line number from a query string; None when it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= _NUMBER_DIGITS else None


def context(shown: Activity, framed: frame.Frame, around: int | None = None) -> dict[str, Any]:
    """Everything about an activity that its page shows, beside the frame."""
    window = log_view.window(shown, around=around)
    live = {
        "activity": shown,
        "log": window,
        "log_url": reverse("activity_log", args=[shown.project_id, shown.pk]),
        "commits": feed.commits(shown),
        **head(shown, framed),
        **steps(shown),
    }
    if not shown.is_final:
        after = f"?after={window.chunk}" if window.reaches_end else "?log=no"
        live["stream_url"] = reverse("activity_stream", args=[shown.project_id, shown.pk]) + after
    return live


def head(shown: Activity, framed: frame.Frame) -> dict[str, Any]:
    """What _activity_head.html shows: title, state, outcome, and what can be done about it."""
    node = framed.node_of(shown.environment_id)
    failed = shown.state == State.FAILED
    return {
        "activity": shown,
        "title": feed.title(shown),
        "entry": feed.Entry(shown),
        "state_words": feed.state_words(shown),
        "node": node,
        "since": shown.started_at if shown.state == State.RUNNING else None,
        "took": _seconds(shown.started_at, shown.finished_at),
        "queue_place": feed.queue_place(shown) if shown.state == State.PENDING else "",
        "may_change": _may_change(shown, framed),
        "by_platform": shown.fault == Fault.PLATFORM,
        "tail": log_view.tail(shown) if failed else "",
        "failed_step": _failed_step(shown) if failed else None,
        "project": framed.project,
    }


def _failed_step(shown: Activity) -> Step | None:
    return next((step for step in shown.steps.all() if step.state == StepState.FAILED), None)


def _may_change(shown: Activity, framed: frame.Frame) -> bool:
    """The rule of deployments.actions.activities, asked of the rights that the frame has read already."""
    node = framed.node_of(shown.environment_id)
    if node is None:
        return framed.may(Permission.MANAGE_PROJECT)
    own = shown.actor_id == framed.user.pk and node.may(Permission.PUSH)
    return own or node.may(Permission.OPERATE)


def steps(shown: Activity) -> dict[str, Any]:
    """What _steps.html shows: (step, seconds that it took or None, when it began if it runs)."""
    listed = []
    for step in sorted(shown.steps.all(), key=lambda each: each.position):
        since = step.started_at if step.state == StepState.RUNNING else None
        listed.append((step, _seconds(step.started_at, step.finished_at), since))
    return {"steps": listed}


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    if start is None:
        return None
    return max(0.0, ((end or timezone.now()) - start).total_seconds())


@login_required
@require_GET
def activity_log(request: HttpRequest, project_id: str, activity_id: str) -> HttpResponse:
    """Fragments of the log: the lines before one (`?before=`), or those that hold some words (`?find=`)."""
    shown = access.find_activity(person(request), project_id, activity_id)
    log_url = reverse("activity_log", args=[project_id, activity_id])
    words = request.GET.get("find", "").strip()[:200]
    if "find" in request.GET:
        found = log_view.search(shown, words) if words else None
        return render(request, "deployments/_log_found.html", {"found": found, "words": words})
    window = log_view.window(shown, before=_number(request.GET.get("before")) or 1)
    return render(request, "deployments/_log_earlier.html", {"log": window, "log_url": log_url})


@login_required
@require_GET
def activity_log_raw(request: HttpRequest, project_id: str, activity_id: str) -> HttpResponse:
    """The whole log as it was stored, colours included; it is capped at settings.LOG_MAX_BYTES when written."""
    shown = access.find_activity(person(request), project_id, activity_id)
    parts = LogChunk.objects.filter(activity=shown).order_by("number").values_list("text", flat=True)
    response = HttpResponse("".join(parts), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{shown.pk}.txt"'
    return response


@login_required
@require_POST
def activity_cancel(request: HttpRequest, project_id: str, activity_id: str) -> HttpResponse:
    shown = access.find_activity(person(request), project_id, activity_id)
    actions.cancel(shown, by=person(request), address=address(request))
    return redirect("activity", project_id, activity_id)


@login_required
@require_POST
def activity_retry(request: HttpRequest, project_id: str, activity_id: str) -> HttpResponse:
    shown = access.find_activity(person(request), project_id, activity_id)
    again = retries.retry(shown, by=person(request), address=address(request))
    return redirect("activity", project_id, again.pk)
