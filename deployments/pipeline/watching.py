"""Each minute: does every environment that runs answer, what does it use, and whom has it answered.

Short whatever the number of environments: they are asked side by side, each for a few seconds at most, and all that is
found is written in a few statements. Nothing here starts or stops anything.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.db.models import Avg, Exists, Max, OuterRef, Sum
from django.db.models.functions import TruncHour
from django.utils import timezone

from deployments import live
from deployments.enums import State
from deployments.models import Activity, Health, Release, Sample
from deployments.pipeline import specs
from environments import runtimes
from environments.models import Environment
from environments.runtimes.base import Probe
from environments.runtimes.gauges import Position, Requests, Usage

_AT_ONCE = 16
_PATIENCE = 3.0  # seconds that an answer may take
_TOLERATED = 2  # answers in a row that must be missing before it counts as unhealthy
_MINUTES_KEPT = timedelta(hours=24)
_HOURS_KEPT = timedelta(days=31)
_BATCH = 500


def running() -> list[Release]:
    """The live release of every environment that is awake and at which no activity is at work."""
    busy = Activity.objects.filter(environment=OuterRef("environment"), state=State.RUNNING)
    found = Release.objects.filter(
        ~Exists(busy),
        state=Release.State.LIVE,
        environment__status=Environment.Status.ACTIVE,
        environment__paused_at__isnull=True,
    )
    return list(found.select_related("environment__health").order_by("environment"))


def health() -> None:
    """Ask each environment for its health path, as nobody's visit."""
    releases = running()
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        answers = list(pool.map(_knock, releases))
    changed: set[str] = set()
    rows = []
    for release, answer in zip(releases, answers, strict=True):
        row = health_of(release.environment)
        if _judge(row, answer):
            changed.add(release.environment.project_id)
        rows.append(row)
    _save(rows, "state", "since", "failures", "status", "milliseconds", "reason", "checked_at")
    for project in changed:
        live.publish(f"project:{project}", "environment")


def _knock(release: Release) -> Probe:
    environment = release.environment
    place = specs.place_of(environment)
    return runtimes.get().gauges.knock(
        place, release.number, _host(release), environment.health_path, timeout=_PATIENCE
    )


def _host(release: Release) -> str:
    """That of the primary route; the environment's own one may be none."""
    routes = release.configuration.get("routes") or {}
    served = [(url, route) for url, route in routes.items() if route.get("type") == "upstream" and "*" not in url]
    served.sort(key=lambda each: not each[1].get("primary"))
    return (urlsplit(served[0][0]).hostname if served else None) or release.environment.host


def _judge(row: Health, answer: Probe) -> bool:
    """Whether it became healthy or unhealthy by this answer."""
    now = timezone.now()
    row.status, row.milliseconds, row.reason, row.checked_at = answer.status, answer.milliseconds, answer.reason, now
    row.failures = 0 if answer.ok else row.failures + 1
    if 0 < row.failures < _TOLERATED:
        return False
    found = Health.State.HEALTHY if answer.ok else Health.State.UNHEALTHY
    if row.state == found:
        return False
    row.state, row.since = found, now
    return True


def measure() -> None:
    """One sample of each."""
    releases = running()
    gauges = runtimes.get().gauges
    places = {release.environment.pk: specs.place_of(release.environment) for release in releases}
    used = gauges.usage(places.values())
    now = timezone.now()
    rows, samples = [], []
    for release in releases:
        row = health_of(release.environment)
        since = Position(row.log_file, row.log_offset) if row.sampled_at else None
        asked = gauges.requests(places[release.environment.pk], since)
        samples.append(_sample(row, used.get(row.environment_id, Usage()), asked, now))
        rows.append(row)
    _save(rows, "programs", "cpu", "log_file", "log_offset", "sampled_at", "requested_at")
    Sample.objects.bulk_create(samples, ignore_conflicts=True, batch_size=_BATCH)


def _sample(row: Health, used: Usage, asked: Requests, now: datetime) -> Sample:
    passed = (now - row.sampled_at).total_seconds() if row.sampled_at else 0.0
    spent = used.cpu - row.cpu if used.cpu >= row.cpu else used.cpu  # a program that began anew counts from nothing
    cpu = spent / passed if passed > 1 and row.cpu else 0.0
    row.cpu, row.sampled_at = used.cpu, now
    row.programs = [asdict(program) for program in used.programs]
    read(row, asked)
    return Sample(
        environment_id=row.environment_id,
        at=now.replace(second=0, microsecond=0),
        cpu=cpu,
        memory=used.memory,
        disk=row.disk if row.weighed_at else None,
        requests=asked.count,
        errors=asked.errors,
        p95=_p95(asked.seconds),
    )


def read(row: Health, asked: Requests) -> None:
    """Note how far the log was read, and the last visit in it."""
    row.log_file, row.log_offset = asked.until.file, asked.until.offset
    if asked.last is not None:
        last = datetime.fromtimestamp(asked.last, UTC)
        row.requested_at = max(last, row.requested_at) if row.requested_at else last


def _p95(seconds: Sequence[float]) -> float | None:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] if ordered else None


def thin() -> None:
    """Hours are kept for a month, minutes for a day."""
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    newest = Sample.objects.filter(span=Sample.Span.HOUR).aggregate(last=Max("at"))["last"]
    minutes = Sample.objects.filter(span=Sample.Span.MINUTE, at__lt=this_hour)
    if newest is not None:
        minutes = minutes.filter(at__gte=newest + timedelta(hours=1))
    hours = (
        minutes.annotate(hour=TruncHour("at", tzinfo=UTC)).values("environment", "hour").order_by("environment", "hour")
    )
    found = hours.annotate(
        mean_cpu=Avg("cpu"),
        most_memory=Max("memory"),
        most_disk=Max("disk"),
        all_requests=Sum("requests"),
        all_errors=Sum("errors"),
        worst=Max("p95"),
    )
    made = [
        Sample(
            environment_id=each["environment"],
            span=Sample.Span.HOUR,
            at=each["hour"],
            cpu=each["mean_cpu"],
            memory=each["most_memory"],
            disk=each["most_disk"],
            requests=each["all_requests"],
            errors=each["all_errors"],
            p95=each["worst"],
        )
        for each in found
    ]
    Sample.objects.bulk_create(made, ignore_conflicts=True, batch_size=_BATCH)
    old = timezone.now()
    Sample.objects.filter(span=Sample.Span.MINUTE, at__lt=old - _MINUTES_KEPT).delete()
    Sample.objects.filter(span=Sample.Span.HOUR, at__lt=old - _HOURS_KEPT).delete()


def health_of(environment: Environment) -> Health:
    """Its row, as `running` has read it; a new one when there is none yet."""
    row = getattr(environment, "health", None)
    return row if isinstance(row, Health) else Health(environment=environment)


def _save(rows: Iterable[Health], *fields: str) -> None:
    """Only these columns: other rounds write the others at the same time."""
    listed = list(rows)
    new = [Health(environment_id=row.environment_id) for row in listed if row._state.adding]
    Health.objects.bulk_create(new, ignore_conflicts=True, batch_size=_BATCH)
    Health.objects.bulk_update(listed, fields, batch_size=_BATCH)
