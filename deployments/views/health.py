"""How an environment is: the page with its charts, and the card on its overview."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from deployments import idle
from deployments.models import Health, Sample
from deployments.pipeline import disks
from deployments.views import charts, frame
from deployments.views.charts import Chart, Values
from environments.models import Environment


@dataclass(frozen=True)
class Range:
    key: str
    label: str
    words: str
    span: str
    bucket: timedelta
    count: int


RANGES = (
    Range("1h", "1 hour", "the last hour", Sample.Span.MINUTE, timedelta(minutes=1), 60),
    Range("24h", "24 hours", "the last 24 hours", Sample.Span.MINUTE, timedelta(minutes=15), 96),
    Range("30d", "30 days", "the last 30 days", Sample.Span.HOUR, timedelta(hours=6), 120),
)


@dataclass(frozen=True)
class Volume:
    name: str
    size: str
    limit: str  # empty: none
    share: int  # percent of the limit
    tone: str  # "", "attention", "failed"
    held: bool


@login_required
@require_GET
def environment_health(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    chosen = next((each for each in RANGES if each.key == request.GET.get("range")), RANGES[0])
    health = Health.objects.filter(environment=node.environment).first()
    return frame.environment_page(
        request,
        "environments/health.html",
        framed,
        node,
        frame.Crumb("Health"),
        tab="environment_health",
        health=health,
        volumes=_volumes(health),
        ranges=RANGES,
        chosen=chosen,
        charts=_charts(node.environment, chosen),
        width=charts.WIDTH,
        height=charts.HEIGHT,
    )


@login_required
@require_GET
def environment_health_card(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    """A fragment, loaded by the overview once it is shown."""
    framed = frame.load(request, project_id)
    node = framed.node(name)
    environment = node.environment
    health = Health.objects.filter(environment=environment).first()
    context = {
        "project": framed.project,
        "environment": environment,
        "health": health,
        "urgent": [each for each in _volumes(health) if each.tone],
        "sleeps_at": idle.sleeps_at(environment, health),
        "charts": _charts(environment, RANGES[0])[:3],
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }
    return render(request, "environments/_health_card.html", context)


def _volumes(health: Health | None) -> list[Volume]:
    if health is None:
        return []
    return [_volume(each, each["kind"] == "service" and each["name"] in health.held) for each in health.volumes]


def _volume(entry: dict[str, Any], held: bool) -> Volume:
    used, limit = entry["bytes"], entry["limit"]
    part = used / limit if limit else 0.0
    tone = "failed" if part >= disks.LOUD else "attention" if part >= disks.WARN else ""
    kinds = {"mounts": "mounts of {}", "service": "{}", "logs": "logs"}
    words = kinds[entry["kind"]].format(entry["name"])
    return Volume(words, charts.size(used), charts.size(limit) if limit else "", round(100 * part), tone, held)


def _charts(environment: Environment, chosen: Range) -> list[Chart]:
    now = timezone.now()
    begin = now - chosen.bucket * chosen.count
    samples = Sample.objects.filter(environment=environment, span=chosen.span, at__gte=begin).order_by("at")
    rows = list(samples.values_list("at", "cpu", "memory", "requests", "errors", "p95", "disk"))
    buckets = _buckets(rows, begin, chosen)

    def column(index: int, join: Any) -> Values:
        found = [[row[index] for row in bucket if row[index] is not None] for bucket in buckets]
        return [join(values) if values else None for values in found]

    per = _span_words(chosen.bucket)
    return [
        charts.draw("cpu", "CPU", column(1, lambda all: sum(all) / len(all)), charts.share, least=0.1),
        charts.draw("memory", "Memory", column(2, max), charts.size, least=16 * 1024**2),
        charts.draw("requests", f"Requests per {per}", column(3, sum), charts.number, least=5),
        charts.draw("errors", f"Server errors per {per}", column(4, sum), charts.number, least=5, tone="failed"),
        charts.draw("p95", "95 % answered within", column(5, max), charts.seconds, least=0.1),
        charts.draw("disk", "Disk", column(6, max), charts.size, least=16 * 1024**2),
    ]


def _span_words(bucket: timedelta) -> str:
    minutes = round(bucket.total_seconds() / 60)
    if minutes == 1:
        return "minute"
    return f"{minutes} minutes" if minutes < 60 else f"{minutes // 60} hours"


def _buckets(rows: Sequence[tuple[Any, ...]], begin: datetime, chosen: Range) -> list[list[tuple[Any, ...]]]:
    buckets: list[list[tuple[Any, ...]]] = [[] for _ in range(chosen.count)]
    for row in rows:
        index = int((row[0] - begin) / chosen.bucket)
        if 0 <= index < chosen.count:
            buckets[index].append(row)
    # The minute that runs now is not measured yet: no gap at the end.
    if len(buckets) > 1 and not buckets[-1]:
        buckets[-1] = buckets[-2]
    return buckets
