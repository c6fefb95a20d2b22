"""Pausing and waking, on the fake runtime: what stops, what stays, and who gets there first."""

from typing import Any

import pytest
from django.conf import settings

from deployments.actions import environments as actions
from deployments.actions import pausing
from deployments.enums import Kind, State
from deployments.models import Activity, Release
from deployments.pipeline import reconciling, specs
from environments import edge
from environments.models import Environment, Service
from portal.enums import EnvironmentRole, EnvironmentType
from portal.errors import Conflict, Denied, Invalid
from tests.deployments.engine import Engine, log_of, steps_of
from tests.deployments.pipeline.test_deploy import SERVICES
from tests.factories import member


def asleep(engine: Engine) -> Environment:
    engine.run(engine.push(SERVICES))
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.run(pausing.pause(engine.environment, by=engine.by))
    assert activity.state == State.SUCCEEDED, activity.outcome
    check_asleep(engine)
    return engine.environment


def check_asleep(engine: Engine) -> None:
    environment = engine.environment
    environment.refresh_from_db()
    assert environment.is_paused
    assert edge.is_parked(environment.host)
    assert list(engine.runtime.releases(specs.place_of(environment))) == []
    assert not any(engine.runtime.answers(spec) for spec in specs.service_specs(environment).values())
    assert Release.objects.filter(environment=environment, state=Release.State.LIVE).count() == 1
    assert reconciling.reconcile(services=True) == []


def check_awake(engine: Engine, number: int = 1) -> None:
    environment = engine.environment
    environment.refresh_from_db()
    assert environment.is_active
    assert not environment.is_paused
    assert engine.served_by() == number
    assert engine.runtime.healthy(specs.release_spec(Release.objects.get(number=number)))
    assert all(engine.runtime.answers(spec) for spec in specs.service_specs(environment).values())
    assert reconciling.reconcile(services=True) == []


def test_a_paused_environment_keeps_its_data_and_release_and_wakes_as_it_was(engine: Engine) -> None:
    environment = asleep(engine)
    services = list(engine.runtime.services(specs.place_of(environment)))
    assert services
    activity = engine.run(pausing.resume(environment, by=engine.by))
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert list(engine.runtime.services(specs.place_of(environment))) == services
    assert Release.objects.filter(environment=environment).count() == 1
    check_awake(engine)


def test_production_and_what_does_not_run_cannot_be_paused(engine: Engine) -> None:
    with pytest.raises(Conflict, match="inactive"):
        pausing.pause(engine.environment, by=engine.by)
    production = engine.project.environments.get(type=EnvironmentType.PRODUCTION)
    with pytest.raises(Conflict, match="Production is never paused"):
        pausing.pause(production, by=engine.by)
    with pytest.raises(Invalid, match="Production is never paused"):
        pausing.configure(production, by=engine.by, sleeps=True)
    environment = asleep(engine)
    with pytest.raises(Conflict, match="paused already"):
        pausing.pause(environment, by=engine.by)


def test_pausing_needs_an_admin_and_waking_only_somebody_who_may_see_it(engine: Engine) -> None:
    environment = asleep(engine)
    viewer = member(engine.project, integration=EnvironmentRole.VIEWER)
    engine.run(pausing.resume(environment, by=viewer))
    check_awake(engine)
    with pytest.raises(Denied):
        pausing.pause(environment, by=viewer)
    with pytest.raises(Conflict, match="awake"):
        pausing.resume(environment, by=viewer)


def test_however_many_come_it_is_woken_once(engine: Engine) -> None:
    environment = asleep(engine)
    first = pausing.wake(environment, address="192.0.2.7")
    assert first is not None
    assert {pausing.wake(environment) for _ in range(5)} == {first}
    assert pausing.resume(environment, by=engine.by) == first
    assert first.actor_name == "A visitor"
    engine.run(first)
    assert pausing.wake(environment) is None
    check_awake(engine)


def test_a_push_or_a_redeployment_wakes_it(engine: Engine) -> None:
    environment = asleep(engine)
    activity = engine.push(SERVICES | {"serve.py": "print('new')\n"})
    assert pausing.wake(environment) == activity, "who comes meanwhile waits for it"
    engine.run(activity)
    assert activity.state == State.SUCCEEDED, activity.outcome
    check_awake(engine, 2)


def test_a_failed_push_to_a_paused_one_leaves_it_asleep(engine: Engine) -> None:
    asleep(engine)
    engine.runtime.fail("probe")
    activity = engine.run(engine.push(SERVICES | {"serve.py": "print('new')\n"}))
    assert activity.state == State.FAILED
    assert activity.outcome.endswith("stays paused with v1.")
    engine.runtime.let_go("probe")
    check_asleep(engine)


def test_one_that_does_not_wake_up_sleeps_on_whole(engine: Engine) -> None:
    environment = asleep(engine)
    engine.runtime.fail("probe", "It did not listen.")
    activity = engine.run(pausing.resume(environment, by=engine.by))
    assert (activity.state, activity.error_id) == (State.FAILED, "probe-failed")
    engine.runtime.let_go("probe")
    check_asleep(engine)
    engine.run(pausing.resume(environment, by=engine.by))
    check_awake(engine)


def test_who_comes_while_it_is_being_paused_keeps_it_awake(engine: Engine, monkeypatch: Any) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = pausing.pause(engine.environment, by=engine.by)
    park = edge.park

    def somebody_comes(hosts: Any) -> None:
        park(hosts)
        Activity.objects.filter(kind=Kind.RESUME).delete()
        pausing.wake(Environment.objects.get(pk=engine.environment.pk))

    monkeypatch.setattr(edge, "park", somebody_comes)
    engine.run(activity)
    assert activity.outcome == "Somebody came to master meanwhile: it stays awake.", log_of(activity)
    resume = Activity.objects.get(kind=Kind.RESUME)
    engine.run(resume)
    assert resume.state == State.SUCCEEDED
    assert [title for title, _ in steps_of(resume)] == ["See that it is awake"]
    check_awake(engine)


def test_a_paused_one_can_be_deactivated_and_comes_back_awake(engine: Engine) -> None:
    environment = asleep(engine)
    engine.run(actions.deactivate(environment, by=engine.by))
    environment.refresh_from_db()
    assert environment.paused_at is None
    assert not (settings.HOME.edge / environment.host).is_symlink()
    assert not Service.objects.exists()
    engine.run(engine.ask(Kind.ACTIVATE))
    check_awake(engine, 2)


def test_the_reconciler_leaves_a_paused_one_asleep_and_stops_what_runs_of_it(engine: Engine) -> None:
    """As after a start of the host, or a worker that was lost three times."""
    environment = asleep(engine)
    release = Release.objects.get(state=Release.State.LIVE)
    spec = specs.release_spec(release)
    engine.runtime.place(spec)
    engine.runtime.start(spec)
    for service in specs.service_specs(environment).values():
        engine.runtime.provision(service, reconciling.environments._watch())
    edge.switch([environment.host], engine.runtime.front(spec))
    assert len(reconciling.reconcile(services=True)) == 3
    check_asleep(engine)


def test_parked_hosts_of_nobody_are_removed(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr(reconciling.leftovers, "_SETTLING", 0.0)
    edge.park(["gone.localhost"])
    assert len(reconciling.reconcile()) == 1
    assert not (settings.HOME.edge / "gone.localhost").is_symlink()


def test_paused_ones_keep_their_place_among_the_active_ones(engine: Engine) -> None:
    asleep(engine)
    engine.project.max_active_integration = 1
    engine.project.save()
    engine.run(actions.branch(engine.environment, name="next", by=engine.by))
    with pytest.raises(Conflict, match="which is its limit"):
        actions.activate(engine.project.environments.get(branch="next"), by=engine.by)


def test_whether_it_may_sleep_is_by_type_unless_somebody_chose(engine: Engine) -> None:
    production, staging, master = engine.project.environments.order_by("pk")
    assert [each.may_sleep for each in (production, staging, master)] == [False, False, True]
    pausing.configure(staging, by=engine.by, sleeps=True)
    pausing.configure(master, by=engine.by, sleeps=False, health_path="/health?deep=1")
    assert [each.may_sleep for each in (staging, master)] == [True, False]
    for wrong in ("health", "/a b", "/" + "x" * 200, "/\n", "/é"):
        with pytest.raises(Invalid):
            pausing.configure(master, by=engine.by, health_path=wrong)


def test_a_reading_page_says_that_it_is_paused(engine: Engine, client: Any) -> None:
    environment = asleep(engine)
    client.force_login(engine.by)
    page = client.get(f"/projects/{engine.project.pk}/environments/{environment.name}/").content.decode()
    assert "Paused, v1 sleeps" in page
    assert 'action="/projects/' in page
    assert "Wake up" in page
