"""Health, samples, idleness and disks, on the fake runtime's gauges."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import F
from django.utils import timezone

from deployments import idle
from deployments.actions import pausing
from deployments.enums import Kind, State
from deployments.models import Activity, Health, Sample
from deployments.pipeline import disks, idling, watching
from environments.models import Environment
from environments.runtimes.base import Probe
from environments.runtimes.fake_gauges import FakeGauges
from environments.runtimes.gauges import Position, ProgramState, Requests, Usage, Weight
from portal.actions import projects
from portal.errors import Invalid
from tests.deployments.engine import APP, FILES, Engine, log_of

MB = 1024**2
WITH_DISKS = FILES | {
    ".platform.app.yaml": APP + "disk: 200\nmounts:\n    media: {source: local, source_path: media}\n"
    "relationships:\n    database: 'db:mysql'\n",
    ".platform/services.yaml": "db:\n  type: mariadb:10.11\n  disk: 1000\n",
}


@pytest.fixture
def gauges(engine: Engine) -> FakeGauges:
    engine.run(engine.push(WITH_DISKS))
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.SUCCEEDED, activity.outcome
    return engine.runtime.gauges


def found(engine: Engine) -> Health:
    return Health.objects.get(environment=engine.environment)


def test_one_missing_answer_is_tolerated_and_two_are_not(engine: Engine, gauges: FakeGauges) -> None:
    pausing.configure(engine.environment, by=engine.by, health_path="/health")
    watching.health()
    assert gauges.knocks == [(engine.environment.pk, 1, engine.environment.host, "/health")]
    assert (found(engine).state, found(engine).status) == (Health.State.HEALTHY, 200)
    gauges.answers[engine.environment.pk] = Probe(False, 500, 3.0, "It answered 500.")
    watching.health()
    assert (found(engine).state, found(engine).failures) == (Health.State.HEALTHY, 1)
    watching.health()
    row = found(engine)
    assert (row.state, row.failures, row.reason) == (Health.State.UNHEALTHY, 2, "It answered 500.")
    gauges.answers.clear()
    watching.health()
    assert (found(engine).state, found(engine).failures) == (Health.State.HEALTHY, 0)


def test_what_is_paused_or_being_worked_at_is_not_asked(engine: Engine, gauges: FakeGauges) -> None:
    activity = engine.ask(Kind.REDEPLOY)
    Activity.objects.filter(pk=activity.pk).update(state=State.RUNNING)
    watching.health()
    Activity.objects.filter(pk=activity.pk).update(state=State.CANCELLED)
    Environment.objects.update(paused_at=timezone.now())
    watching.health()
    watching.measure()
    assert gauges.knocks == []
    assert not Sample.objects.exists()


def test_a_sample_says_what_was_used_since_the_last_one(engine: Engine, gauges: FakeGauges) -> None:
    key = engine.environment.pk
    programs = [ProgramState("app", True, 2, "exit code 1")]
    gauges.used[key] = Usage(100.0, 50 * MB, programs)
    watching.measure()
    Sample.objects.all().delete()
    Health.objects.update(sampled_at=timezone.now() - timedelta(seconds=60))
    gauges.used[key] = Usage(130.0, 60 * MB, programs)
    gauges.visits[key] = Requests(Position(7, 900), 100, 3, [0.01] * 94 + [2.0] * 6, timezone.now().timestamp())
    watching.measure()
    sample = Sample.objects.get()
    assert sample.cpu == pytest.approx(0.5, rel=0.05)
    assert (sample.memory, sample.requests, sample.errors, sample.p95) == (60 * MB, 100, 3, 2.0)
    row = found(engine)
    assert (row.log_file, row.log_offset, row.restarts) == (7, 900, 2)
    assert row.requested_at is not None


def test_a_program_that_began_anew_counts_from_nothing(engine: Engine, gauges: FakeGauges) -> None:
    key = engine.environment.pk
    for used in (1000.0, 6.0):
        gauges.used[key] = Usage(used)
        watching.measure()
        Sample.objects.all().delete()
        Health.objects.update(sampled_at=timezone.now() - timedelta(seconds=60))
    gauges.used[key] = Usage(3.0)
    watching.measure()
    assert Sample.objects.get().cpu == pytest.approx(0.05, rel=0.05)


def test_minutes_become_hours_and_both_end(engine: Engine, gauges: FakeGauges) -> None:
    this_hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    for hours, minute in ((1, 5), (1, 6), (2, 0), (30, 0)):
        Sample.objects.create(
            environment=engine.environment,
            at=this_hour - timedelta(hours=hours) + timedelta(minutes=minute),
            cpu=0.2 * minute,
            memory=minute,
            requests=10,
            errors=1,
            p95=minute or None,
        )
    for _ in range(2):
        watching.thin()
    hours = Sample.objects.filter(span=Sample.Span.HOUR).order_by("-at")
    assert [each.at for each in hours] == [this_hour - timedelta(hours=each) for each in (1, 2, 30)]
    newest = hours[0]
    assert (newest.memory, newest.requests, newest.errors, newest.p95) == (6, 20, 2, 6)
    assert newest.cpu == pytest.approx(1.1)
    assert Sample.objects.filter(span=Sample.Span.MINUTE).count() == 3
    Sample.objects.filter(span=Sample.Span.HOUR).update(at=F("at") - timedelta(days=40))
    watching.thin()
    assert not Sample.objects.filter(at__lt=timezone.now() - timedelta(days=32)).exists()


def test_the_rounds_cost_the_same_for_one_and_for_many(
    engine: Engine, gauges: FakeGauges, django_assert_max_num_queries: Any
) -> None:
    for branch in ("production", "staging"):
        engine.run(engine.ask(Kind.ACTIVATE, engine.project.environments.get(branch=branch)))
    watching.health()
    watching.measure()
    with django_assert_max_num_queries(8):
        watching.health()
    with django_assert_max_num_queries(8):
        watching.measure()


def long_ago(engine: Engine, hours: float) -> None:
    then = timezone.now() - timedelta(hours=hours)
    Environment.objects.update(created_at=then, deployed_at=then, visited_at=None)
    Activity.objects.update(finished_at=then)
    Health.objects.update(requested_at=None)


def test_what_nobody_used_for_long_enough_is_paused(engine: Engine, gauges: FakeGauges) -> None:
    long_ago(engine, 100)
    idling.pause_idle()
    assert not Activity.objects.filter(kind=Kind.PAUSE).exists(), "unless the project says so, nothing is paused"
    projects.change(engine.project, by=engine.by, pause_after=4)
    long_ago(engine, 3)
    idling.pause_idle()
    assert not Activity.objects.filter(kind=Kind.PAUSE).exists()
    long_ago(engine, 5)
    for _ in range(2):
        idling.pause_idle()
    activity = Activity.objects.get(kind=Kind.PAUSE)
    assert (activity.actor, activity.actor_name) == (None, "Slipway")
    engine.run(activity)
    assert engine.environment.is_paused


def test_a_visit_a_cron_or_a_wish_keep_it_awake(engine: Engine, gauges: FakeGauges, monkeypatch: Any) -> None:
    projects.change(engine.project, by=engine.by, pause_after=1)
    long_ago(engine, 5)
    environment = Environment.objects.get(pk=engine.environment.pk)
    assert idling.is_due(environment, engine.runtime)
    watching.measure()
    gauges.visits[environment.pk] = Requests(Position(1, 1), 1, 0, [0.1], timezone.now().timestamp())
    activity = pausing.pause(environment, by=None, because="idle")
    engine.run(activity)
    assert activity.outcome == "master was used meanwhile: it stays awake.", log_of(activity)
    assert not engine.environment.is_paused
    long_ago(engine, 5)
    pausing.configure(environment, by=engine.by, sleeps=False)
    assert not idling.is_due(environment, engine.runtime)
    pausing.configure(environment, by=engine.by, sleeps=True)
    with monkeypatch.context() as patched:
        patched.setattr(engine.runtime.crons, "runs", lambda place: [type("Run", (), {"ended": None})()])
        assert not idling.is_due(environment, engine.runtime)
    open_one = engine.ask(Kind.REDEPLOY)
    assert idle.last_use(environment, None) is None
    Activity.objects.filter(pk=open_one.pk).delete()
    assert idling.is_due(environment, engine.runtime)


def test_the_hours_are_those_that_are_offered(engine: Engine) -> None:
    for wrong in (2, -1, 1000):
        with pytest.raises(Invalid):
            projects.change(engine.project, by=engine.by, pause_after=wrong)


def weigh(engine: Engine, gauges: FakeGauges, *, mounts: float, db: float) -> None:
    weight = Weight(timezone.now().timestamp(), {"app-app": int(mounts * MB)}, {"db": int(db * MB)}, 5 * MB)
    gauges.weighed[engine.environment.pk] = weight
    disks.look()


def held(engine: Engine) -> bool:
    return engine.runtime.held(engine.environment.pk, "db")


def test_a_database_over_its_limit_takes_no_more_data_until_it_is_well_below(
    engine: Engine, gauges: FakeGauges
) -> None:
    weigh(engine, gauges, mounts=10, db=990)
    assert [each["name"] for each in found(engine).full(disks.LOUD)] == ["db"]
    assert not held(engine)
    weigh(engine, gauges, mounts=10, db=1000)
    assert held(engine)
    assert found(engine).held == ["db"]
    weigh(engine, gauges, mounts=10, db=960)
    assert held(engine)
    weigh(engine, gauges, mounts=10, db=900)
    assert not held(engine)
    assert found(engine).held == []


def test_deployments_warn_of_full_disks(engine: Engine, gauges: FakeGauges) -> None:
    weigh(engine, gauges, mounts=170, db=10)
    activity = engine.run(engine.ask(Kind.REDEPLOY))
    assert activity.state == State.SUCCEEDED
    assert "app uses 85 % of its disk" in log_of(activity)


def test_a_host_short_of_space_deploys_nothing_and_pauses_what_is_over_its_limit(
    engine: Engine, gauges: FakeGauges, monkeypatch: Any
) -> None:
    monkeypatch.setattr(settings, "DISK_RESERVE", 1 << 60)
    weigh(engine, gauges, mounts=50, db=10)
    assert not Activity.objects.filter(kind=Kind.PAUSE).exists()
    activity = engine.run(engine.ask(Kind.REDEPLOY))
    assert (activity.state, activity.error_id) == (State.FAILED, "no-space")
    weigh(engine, gauges, mounts=202, db=10)
    paused = Activity.objects.get(kind=Kind.PAUSE)
    engine.run(paused)
    assert engine.environment.is_paused
    resumed = engine.run(pausing.resume(engine.environment, by=engine.by))
    assert resumed.error_id == "no-space"
    assert engine.environment.is_paused
    monkeypatch.setattr(settings, "DISK_RESERVE", 0)
    engine.run(pausing.resume(engine.environment, by=engine.by))
    assert not engine.environment.is_paused


def test_pages_show_it(engine: Engine, gauges: FakeGauges, client: Any, django_assert_max_num_queries: Any) -> None:
    key = engine.environment.pk
    gauges.used[key] = Usage(1.0, 50 * MB, [ProgramState("app", False, 3, "signal SIGKILL")])
    gauges.answers[key] = Probe(False, 500, 3.0, "It answered 500.")
    projects.change(engine.project, by=engine.by, pause_after=1)
    for _ in range(2):
        watching.measure()
        watching.health()
    weigh(engine, gauges, mounts=198, db=10)
    client.force_login(engine.by)
    base = f"/projects/{engine.project.pk}/environments/{engine.environment.name}/"
    with django_assert_max_num_queries(10):
        card = client.get(f"{base}health/card").content.decode()
    assert "Unhealthy for" in card
    assert "3 restarts" in card
    assert "198 MB of 200 MB used" in card
    assert "unless somebody uses it" in card
    assert "<polyline" in card
    for chosen in ("1h", "24h", "30d", "nonsense"):
        with django_assert_max_num_queries(10):
            page = client.get(f"{base}health?range={chosen}")
        assert page.status_code == 200
    text = client.get(f"{base}health").content.decode()
    assert "signal SIGKILL" in text
    assert 'role="img"' in text
    assert " style=" not in text
    overview = client.get(base).content.decode()
    assert "Unhealthy, v1 serves" in overview
    assert f'hx-get="{base}health/card"' in overview
