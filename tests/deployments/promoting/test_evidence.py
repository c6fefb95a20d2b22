"""What Staging proves of the code that is to be promoted, and which variables come with it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from deployments.models import Backup, Health, Release, Sample, VariableSet
from deployments.promoting import evidence, settings_changes
from deployments.promoting.evidence import Evidence
from deployments.promoting.settings_changes import VariableChange
from environments.models import Environment, Variable
from tests.factories import BackupFactory, ProjectFactory, ReleaseFactory, tree

pytestmark = pytest.mark.django_db
SLUGS = {"store": "p-store-aa-bb", "api": "p-api-aa-bb"}
NOW = timezone.now().replace(minute=30, second=0, microsecond=0)


@pytest.fixture
def staging() -> Environment:
    return tree(ProjectFactory())["staging"]


def release(staging: Environment, number: int, hours: float, slugs: dict[str, str] = SLUGS, **values: Any) -> Release:
    made: Release = ReleaseFactory(
        environment=staging, number=number, slugs=slugs, live_at=NOW - timedelta(hours=hours), **values
    )
    return made


def retired(staging: Environment, number: int, hours: float, slugs: dict[str, str] = SLUGS) -> Release:
    return release(staging, number, hours, slugs, state=Release.State.RETIRED)


def sample(staging: Environment, hours: float, requests: int, errors: int, p95: float, span: str = "minute") -> None:
    at = NOW - timedelta(hours=hours)
    at = at.replace(minute=0) if span == "hour" else at
    Sample.objects.create(
        environment=staging, span=span, at=at, cpu=0, memory=0, requests=requests, errors=errors, p95=p95
    )


def of(staging: Environment, slugs: dict[str, str] = SLUGS) -> Evidence:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        found = evidence.of(staging, slugs)
    assert len(queries) <= 4
    return found


def test_it_tells_since_when_this_very_code_runs_there(staging: Environment) -> None:
    retired(staging, 1, 9)
    retired(staging, 2, 8, {"store": "other", "api": "p-api-aa-bb"})
    retired(staging, 3, 5)
    release(staging, 4, 1)
    Health.objects.create(
        environment=staging,
        state="healthy",
        since=NOW - timedelta(hours=90),
        programs=[{"name": "store", "alive": True, "restarts": 2, "last_exit": None}],
    )
    found = of(staging)
    assert found.same
    assert found.ready
    assert (found.release, found.since, found.restarts) == (4, NOW - timedelta(hours=5), 2)
    assert found.health_since == NOW - timedelta(hours=5)
    assert found.says == "This very code runs on staging as v4 and is healthy."


def test_requests_since_are_counted_once(staging: Environment) -> None:
    release(staging, 1, 3)
    sample(staging, 5, 1000, 1000, 9.0)
    sample(staging, 3, 10, 0, 0.05)
    sample(staging, 2, 5, 0, 0.05)  # is in the hour as well
    sample(staging, 2, 70, 1, 0.09, "hour")
    sample(staging, 0, 20, 2, 0.4)
    traffic = of(staging).traffic
    assert (traffic.requests, traffic.errors, traffic.p95, traffic.slowest_p95) == (100, 3, 90.0, 400.0)


def test_without_visitors_no_time_is_told(staging: Environment) -> None:
    release(staging, 1, 3)
    assert of(staging).traffic == evidence.Traffic()


def test_its_data_and_last_backup_are_told(staging: Environment) -> None:
    staging.data_source, staging.data_at = "Copy of production", NOW
    release(staging, 1, 3)
    BackupFactory(environment=staging, at=NOW - timedelta(days=2))
    BackupFactory(environment=staging, at=NOW - timedelta(days=1), proof=Backup.Proof.FAILED)
    BackupFactory(environment=staging, at=None, state=Backup.State.MAKING)
    found = of(staging)
    assert (found.data_source, found.data_at) == ("Copy of production", NOW)
    assert (found.backup_at, found.backup_proof) == (NOW - timedelta(days=1), "failed")


def test_another_build_proves_nothing(staging: Environment) -> None:
    release(staging, 1, 3, {"store": "other", "api": "p-api-aa-bb"})
    found = of(staging)
    assert not found.same
    assert (found.since, found.other_apps) == (None, ["store"])
    assert found.says == "staging runs another build of store: this very code has not run there."


def test_code_that_ran_there_before_is_told_as_such(staging: Environment) -> None:
    retired(staging, 3, 9)
    release(staging, 4, 3, {"store": "x", "api": "y"})
    assert of(staging).says == "This very code ran on staging as v3, but another release is live there now."


def test_what_is_not_well_is_said(staging: Environment) -> None:
    release(staging, 1, 3)
    assert "not been looked at yet" in of(staging).says
    Health.objects.create(environment=staging, state="unhealthy", since=NOW, reason="It answers with 502")
    found = of(staging)
    assert found.says.endswith("but it is unhealthy: It answers with 502.")
    assert not found.ready
    staging.paused_at = NOW
    assert of(staging).says.endswith("but it is paused.")


def test_where_nothing_runs_nothing_is_proved(staging: Environment) -> None:
    assert of(staging).says == "staging runs another build: this very code has not run there."
    assert "cannot be told" in of(staging, {}).says
    staging.status = Environment.Status.INACTIVE
    assert of(staging).says == "staging is not active: nothing runs there."


def setting(environment: Environment, name: str, text: str, everywhere: bool = False, **values: Any) -> Variable:
    made = Variable(project=environment.project, environment=None if everywhere else environment, name=name, **values)
    made.text = text
    made.save()
    return made


def pin(environment: Environment, variables: Sequence[Variable]) -> None:
    sealed = VariableSet.seal([each.plain() for each in variables])
    ReleaseFactory(
        environment=environment, variable_set=VariableSet.objects.create(environment=environment, sealed=sealed)
    )


def test_variables_that_come_with_it_are_told_with_where_they_are_set(staging: Environment) -> None:
    production = staging.parent
    assert production is not None
    timeout, secret = setting(production, "env:TIMEOUT", "10"), setting(production, "env:KEY", "old", is_sensitive=True)
    gone = setting(production, "env:GONE", "1")
    pin(production, [timeout, secret, gone])
    timeout.text, secret.text = "15", "new"
    timeout.save()
    secret.save()
    gone.delete()
    setting(production, "env:NEW", "x" * 500, everywhere=True)
    with CaptureQueriesContext(connection) as queries:
        found = settings_changes.of(production, staging)
    assert len(queries) == 3
    assert found.coming == [
        VariableChange("env:GONE", "removed", "", "1", ""),
        VariableChange("env:KEY", "changed", "this environment", is_sensitive=True),
        VariableChange("env:NEW", "added", "the project", "", "x" * 120 + "…"),
        VariableChange("env:TIMEOUT", "changed", "this environment", "10", "15"),
    ]
    assert {each.name for each in found.variables} == {"env:KEY", "env:NEW", "env:TIMEOUT"}
    assert "new" not in repr(found)


def test_variables_that_the_source_has_otherwise_are_told(staging: Environment) -> None:
    production = staging.parent
    assert production is not None
    setting(production, "env:MODE", "live")
    setting(staging, "env:MODE", "test")
    setting(staging, "env:DEBUG", "1")
    setting(production, "env:SAME", "1")
    setting(production, "env:ONLY", "s3cret", is_inheritable=False, is_sensitive=True)
    found = settings_changes.of(production, staging)
    assert found.coming == ()
    assert found.unlike_source == [
        VariableChange("env:DEBUG", "removed", "", "1", ""),
        VariableChange("env:MODE", "changed", "this environment", "test", "live"),
        VariableChange("env:ONLY", "added", "this environment", is_sensitive=True),
    ]


def test_a_target_below_hides_where_its_parents_variables_are_set(staging: Environment) -> None:
    assert staging.parent is not None
    setting(staging.parent, "env:MODE", "live")
    pin(staging, [])
    (change,) = settings_changes.of(staging, None).coming
    assert (change.where, change.after) == ("an environment above", "live")
