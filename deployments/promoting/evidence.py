"""What a source proves of the code that is to be promoted from it. Four queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from deployments.models import Backup, Health, Release, Sample
from environments.models import Environment

_RELEASES = 50  # are looked back upon


@dataclass(frozen=True)
class Traffic:
    """Of visitors since the code runs there. Times in milliseconds, of the minutes (or hours) since."""

    requests: int = 0
    errors: int = 0  # answered with 500 and above
    p95: float | None = None  # that of the middle request
    slowest_p95: float | None = None


@dataclass(frozen=True)
class Evidence:
    """`same`: it runs the very slugs that would be deployed; all that follows is empty otherwise, but its data."""

    title: str
    same: bool
    says: str  # one plain sentence
    other_apps: Sequence[str] = ()  # whose slugs are others
    release: int | None = None
    since: datetime | None = None
    restarts: int = 0
    health: str = ""  # "healthy", "unhealthy"; empty: not looked at
    health_since: datetime | None = None
    reason: str = ""  # why it is unhealthy
    paused: bool = False
    traffic: Traffic = Traffic()
    data_source: str = ""
    data_at: datetime | None = None
    backup_at: datetime | None = None
    backup_proof: str = ""  # "proven", "failed"; empty: not tried

    @property
    def ready(self) -> bool:
        return self.same and self.health == Health.State.HEALTHY and not self.paused


def of(source: Environment, slugs: Mapping[str, str]) -> Evidence:
    """`slugs`: those that would be deployed, by app: see gains.slugs_of."""
    releases = list(
        Release.objects.filter(environment=source, state__in=[Release.State.LIVE, Release.State.RETIRED])
        .order_by("-number")
        .only("number", "state", "slugs", "live_at")[:_RELEASES]
    )
    live = next((each for each in releases if each.state == Release.State.LIVE), None)
    others = sorted(app for app, slug in slugs.items() if live is None or live.slugs.get(app) != slug)
    backup = _backup(source)
    told = Evidence(
        title=source.title,
        same=live is not None and bool(slugs) and not others and source.is_active,
        says="",
        other_apps=others,
        data_source=source.data_source,
        data_at=source.data_at,
        backup_at=backup.at if backup else None,
        backup_proof=backup.proof if backup else "",
    )
    if live is None or not told.same:
        return replace(told, says=_not_there(source, slugs, others, releases))
    since = _since(releases, slugs)
    health = Health.objects.filter(environment=source).first() or Health(environment=source)
    told = replace(
        told,
        release=live.number,
        since=since,
        restarts=health.restarts,
        health=health.state,
        health_since=max(health.since, since) if health.since and since else health.since,
        reason=health.reason,
        paused=source.is_paused,
        traffic=_traffic(source, since) if since else Traffic(),
    )
    return replace(told, says=_says(told))


def _since(releases: Sequence[Release], slugs: Mapping[str, str]) -> datetime | None:
    """When the first of the releases went live that have had these slugs without a break."""
    since = None
    for release in releases:
        if any(release.slugs.get(app) != slug for app, slug in slugs.items()):
            break
        since = release.live_at or since
    return since


def _backup(source: Environment) -> Backup | None:
    stored = Backup.objects.stored().filter(environment=source, missing_since__isnull=True, at__isnull=False)
    return stored.only("at", "proof").order_by("-at").first()


def _traffic(source: Environment, since: datetime) -> Traffic:
    """Minutes are kept for a day and hours for a month, so a time may be in both: whole hours count where there are."""
    asked = Sample.objects.filter(environment=source, at__gte=since.replace(second=0, microsecond=0))
    rows = list(asked.values_list("span", "at", "requests", "errors", "p95"))
    hours = {at for span, at, *_ in rows if span == Sample.Span.HOUR}
    counted = [
        (requests, errors, p95)
        for span, at, requests, errors, p95 in rows
        if span == Sample.Span.HOUR or at.replace(minute=0) not in hours
    ]
    times = sorted((p95, requests) for requests, _, p95 in counted if p95 is not None and requests)
    return Traffic(
        requests=sum(requests for requests, _, _ in counted),
        errors=sum(errors for _, errors, _ in counted),
        p95=_middle(times),
        slowest_p95=round(times[-1][0] * 1000, 1) if times else None,
    )


def _middle(times: Sequence[tuple[float, int]]) -> float | None:
    half, passed = sum(requests for _, requests in times) / 2, 0
    for p95, requests in times:
        passed += requests
        if passed >= half:
            return round(p95 * 1000, 1)
    return None


def _not_there(
    source: Environment, slugs: Mapping[str, str], others: Sequence[str], releases: Sequence[Release]
) -> str:
    if not slugs:
        return "What would be deployed cannot be told, so nothing can be proved of it."
    if not source.is_active:
        return f"{source.title} is not active: nothing runs there."
    earlier = next((each for each in releases if all(each.slugs.get(app) == slugs[app] for app in slugs)), None)
    if earlier is not None:
        return f"This very code ran on {source.title} as v{earlier.number}, but another release is live there now."
    which = "" if len(others) == len(slugs) else f" of {', '.join(others)}"
    return f"{source.title} runs another build{which}: this very code has not run there."


def _says(told: Evidence) -> str:
    what = f"This very code runs on {told.title} as v{told.release}"
    if told.paused:
        return f"{what}, but it is paused."
    if told.health == Health.State.UNHEALTHY:
        return f"{what}, but it is unhealthy: {told.reason or 'it does not answer as it should'}."
    if not told.health:
        return f"{what}; whether it is healthy has not been looked at yet."
    return f"{what} and is healthy."
