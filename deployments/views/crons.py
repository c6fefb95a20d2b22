"""The crons and workers of an environment: when they run, how they ended, what they printed; and the doors to run one
now, stop a run and restart a worker."""

import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET, require_POST

from deployments import ansi
from deployments.actions import crons as actions
from deployments.actions import possible
from deployments.enums import Kind
from deployments.models import Activity, CronRun, Release
from deployments.pipeline import crons as pipeline
from deployments.pipeline import specs
from deployments.pipeline.quieting import crons_of
from deployments.views import buttons, frame
from deployments.views.frame import Frame
from deployments.views.nodes import Node
from environments import runtimes
from environments.manifest import cron as manifest
from environments.manifest import schedule
from environments.models import Environment
from environments.process import describe_exit
from environments.runtimes.crons import Outcome
from environments.runtimes.workers import Condition, WorkerState
from portal.errors import Missing
from portal.requests import address

_PAGE = 50
_IN_A_ROW = 3  # failures after which a cron is flagged

_WORDS = {
    Outcome.RUNNING: "Running",
    Outcome.SUCCEEDED: "Ended well",
    Outcome.FAILED: "Failed",
    Outcome.TIMEOUT: "Took too long",
    Outcome.STOPPED: "Stopped",
    Outcome.MEMORY: "Out of memory",
    Outcome.LOST: "Lost",
}
_DOTS = {Outcome.RUNNING: "running", Outcome.SUCCEEDED: "succeeded", Outcome.STOPPED: "cancelled"}
_CONDITIONS = {
    Condition.RUNNING: ("Running", "succeeded"),
    Condition.WAITING: ("Waits until its release serves", "pending"),
    Condition.RESTARTING: ("Restarting", "attention"),
    Condition.STOPPED: ("Stopped", "failed"),
}


@dataclass(frozen=True)
class Shown:
    """A run as pages show it."""

    run: CronRun
    url: str

    @property
    def words(self) -> str:
        return _WORDS[Outcome(self.run.outcome)]

    @property
    def dot(self) -> str:
        return _DOTS.get(Outcome(self.run.outcome), "failed")

    @property
    def seconds(self) -> float:
        return max(0.0, ((self.run.ended_at or timezone.now()) - self.run.started_at).total_seconds())

    @property
    def exit(self) -> str:
        if self.run.code is None or self.run.code == 0:
            return ""
        return describe_exit(self.run.code)


@dataclass(frozen=True)
class Row:
    """A cron of the release that serves."""

    app: str
    name: str
    spec: str
    resolved: str
    words: str
    command: str
    timeout: int
    zone: str
    next_at: datetime | None  # in its zone
    last: Shown | None  # the latest that has ended
    running: Shown | None
    failing: bool
    why_not: str  # it cannot be run now
    url: str

    @property
    def next_words(self) -> str:
        """In the cron's own time zone, which is not the reader's."""
        if self.next_at is None:
            return ""
        today = self.next_at.date() == timezone.now().astimezone(self.next_at.tzinfo).date()
        return f"{self.next_at:%H:%M}" if today else f"{self.next_at:%a %-d %b, %H:%M}"


@dataclass(frozen=True)
class WorkerRow:
    state: WorkerState
    label: str
    dot: str
    since: datetime | None
    last_exit_at: datetime | None


@login_required
@require_GET
def environment_crons(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    return _overview(request, framed, framed.node(name), states=None)


@login_required
@require_GET
def environment_workers(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    """How workers do, which only the runtime knows: a fragment for the page, the whole page for whoever has no htmx."""
    framed = frame.load(request, project_id)
    node = framed.node(name)
    release = _serving(node.environment)
    states = runtimes.get().workers.states(specs.place_of(node.environment), release.number) if release else []
    if request.headers.get("HX-Request"):
        given = {"workers": _workers(states), "node": node, "environment": node.environment, "project": framed.project}
        return render(request, "environments/_workers.html", given | {"why_not_restart": node.why_not(actions.RIGHT)})
    return _overview(request, framed, node, states=states)


def _overview(request: HttpRequest, framed: Frame, node: Node, *, states: Sequence[WorkerState] | None) -> HttpResponse:
    environment = node.environment
    release = _serving(environment)
    return frame.environment_page(
        request,
        "environments/crons.html",
        framed,
        node,
        frame.Crumb("Crons & workers"),
        tab="environment_crons",
        release=release,
        rows=_rows(framed, node, release) if release else [],
        worker_names=actions.workers_of(release) if release else [],
        workers=None if states is None else _workers(states),
        why_not_restart=node.why_not(actions.RIGHT),
        why_not_stop=node.why_not(actions.RIGHT),
    )


def _serving(environment: Environment) -> Release | None:
    return Release.objects.filter(environment=environment, state=Release.State.LIVE).first()


def _rows(framed: Frame, node: Node, release: Release) -> list[Row]:
    environment = node.environment
    runs: dict[tuple[str, str], list[CronRun]] = {}
    # One more than are looked at: the first may run still.
    for run in CronRun.objects.filter(environment=environment).latest_of_each(_IN_A_ROW + 1):
        runs.setdefault((run.app, run.cron), []).append(run)
    asked = {
        (told.get("app"), told.get("cron"))
        for told in Activity.objects.open()
        .filter(environment=environment, kind=Kind.CRON)
        .values_list("parameters", flat=True)
    }
    why_not = node.why_not(actions.RIGHT) or possible.why_not(Kind.CRON, buttons.situation(framed, node))
    return [
        _row(environment, each, _zone(release, each[0]), runs.get(each[:2], []), each[:2] in asked, why_not)
        for each in crons_of(release.configuration)
    ]


def _row(
    environment: Environment,
    declared: tuple[str, str, Mapping[str, Any]],
    zone: tzinfo,
    runs: Sequence[CronRun],
    asked: bool,
    why_not: str,
) -> Row:
    app, name, cron = declared
    seed = manifest.seed(environment.project_id, environment.machine_name, app, name)
    resolved = manifest.resolve(cron["spec"], seed)
    parsed = schedule.parse(resolved)
    next_at = None
    if environment.crons_allowed and environment.is_active and not environment.is_paused:
        found = parsed.following(timezone.now().timestamp(), zone)
        next_at = datetime.fromtimestamp(found, zone) if found else None
    ended = [run for run in runs if not run.is_running]
    running = next((run for run in runs if run.is_running), None)
    if not why_not and running:
        why_not = actions.busy(running)
    if not why_not and asked:
        why_not = f"Somebody asked for a run of {name} already."
    return Row(
        app=app,
        name=name,
        spec=cron["spec"],
        resolved=resolved,
        words=schedule.words(parsed),
        command=cron["commands"]["start"].strip(),
        timeout=cron["timeout"],
        zone=str(zone),
        next_at=next_at,
        last=_shown(ended[0], environment) if ended else None,
        running=_shown(running, environment) if running else None,
        failing=len(ended) >= _IN_A_ROW and all(run.failed for run in ended[:_IN_A_ROW]),
        why_not=why_not,
        url=reverse("environment_cron", args=[environment.project_id, environment.name, app, name]),
    )


def _shown(run: CronRun, environment: Environment) -> Shown:
    return Shown(run, reverse("cron_output", args=[environment.project_id, environment.name, run.pk]))


def _zone(release: Release, app: str) -> tzinfo:
    try:
        return zoneinfo.ZoneInfo(release.configuration["apps"][app].get("timezone") or "UTC")
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return UTC


def _workers(states: Sequence[WorkerState]) -> list[WorkerRow]:
    return [
        WorkerRow(state, *_CONDITIONS[state.condition], _moment(state.since), _moment(state.last_exit_at))
        for state in states
    ]


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


@login_required
@require_GET
def environment_cron(request: HttpRequest, project_id: str, name: str, app: str, cron: str) -> HttpResponse:
    """One cron, with the runs that are remembered."""
    framed = frame.load(request, project_id)
    node = framed.node(name)
    environment = node.environment
    release = _serving(environment)
    rows = _rows(framed, node, release) if release else []
    row = next((row for row in rows if (row.app, row.name) == (app, cron)), None)
    runs = CronRun.objects.filter(environment=environment, app=app, cron=cron).defer("output")
    page = Paginator(runs, _PAGE).get_page(request.GET.get("page"))
    if row is None and not page.object_list:
        raise Missing("There is no such cron, and none of that name ever ran here.")
    return frame.environment_page(
        request,
        "environments/cron.html",
        framed,
        node,
        frame.Crumb("Crons & workers", reverse("environment_crons", args=[project_id, name])),
        frame.Crumb(cron),
        tab="environment_crons",
        row=row,
        app=app,
        cron=cron,
        page=page,
        runs=[_shown(run, environment) for run in page.object_list],
        why_not_stop=node.why_not(actions.RIGHT),
    )


@login_required
@require_GET
def cron_output(request: HttpRequest, project_id: str, name: str, run_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    run = _find(node.environment, run_id)
    cron_url = reverse("environment_cron", args=[project_id, name, run.app, run.cron])
    return frame.environment_page(
        request,
        "environments/cron_run.html",
        framed,
        node,
        frame.Crumb("Crons & workers", reverse("environment_crons", args=[project_id, name])),
        frame.Crumb(run.cron, cron_url),
        frame.Crumb(f"{timezone.localtime(run.started_at):%-d %B, %H:%M:%S}"),
        tab="environment_crons",
        shown=_shown(run, node.environment),
        run=run,
        lines=_lines(pipeline.output_of(run, runtimes.get())),
        activity=Activity.objects.filter(pk=run.pk).first(),
        why_not_stop=node.why_not(actions.RIGHT),
    )


def _find(environment: Environment, run_id: str) -> CronRun:
    run = CronRun.objects.select_related("environment__project").filter(environment=environment, pk=run_id).first()
    if run is None:
        raise Missing("There is no such run, or it is not remembered any more.")
    return run


def _lines(output: str) -> list[SafeString]:
    return [mark_safe(line) for line in ansi.lines(output) if output]  # noqa: S308 - escaped there, see ansi.py


@login_required
@require_POST
def cron_run(request: HttpRequest, project_id: str, name: str, app: str, cron: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    environment = framed.node(name).environment
    activity = actions.run(environment, app=app, cron=cron, by=framed.user, address=address(request))
    return redirect("activity", project_id, activity.pk)


@login_required
@require_POST
def cron_stop(request: HttpRequest, project_id: str, name: str, run_id: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    run = _find(framed.node(name).environment, run_id)
    actions.stop(run, by=framed.user, address=address(request))
    messages.success(request, f"{run.cron} is being stopped.")
    return redirect("cron_output", project_id, name, run_id)


@login_required
@require_POST
def worker_restart(request: HttpRequest, project_id: str, name: str, worker: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    actions.restart_worker(framed.node(name).environment, name=worker, by=framed.user, address=address(request))
    messages.success(request, f"{worker} is being restarted.")
    return redirect("environment_crons", project_id, name)
