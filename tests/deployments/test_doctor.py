import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from deployments.enums import Kind, State, StepState
from deployments.models import LogChunk, Release
from deployments.pipeline import specs
from environments import edge
from tests.deployments.engine import FILES, Engine
from tests.factories import ActivityFactory, StepFactory, write_log


def doctor(*options: str) -> dict[str, Any]:
    out, code = StringIO(), 0
    try:
        call_command("doctor", "--json", *options, stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    answer: dict[str, Any] = json.loads(out.getvalue())
    assert code == bool(answer["wrong"])
    return answer


def test_what_is_well_is_left_alone(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    assert doctor() == {"network": "shared", "mended": [], "wrong": []}


def test_it_says_in_which_network_environments_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    for why, line in [
        (None, "network: each environment has one of its own"),
        ("no namespaces here", "network: environments share this host's (no namespaces here)"),
    ]:
        monkeypatch.setattr(type(engine.runtime), "why_shared", lambda _, why=why: why)
        out = StringIO()
        call_command("doctor", stdout=out)
        assert out.getvalue().splitlines()[0] == line


def test_looking_changes_nothing_and_repairing_mends(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    environment, release = engine.environment, Release.objects.get(number=1)
    engine.runtime.stop(specs.place_of(environment), 1)
    edge.remove([environment.host])
    engine.commit(FILES | {"serve.py": "unheard"})
    for _ in range(2):
        wrong = [each["found"] for each in doctor()["wrong"]]
        assert wrong == [
            f"{environment}: v1 does not run",
            f"{environment}: {environment.host} do not lead to v1",
            f"{engine.project}: a branch moved without an activity",
        ]
    answer = doctor("--repair")
    assert len(answer["mended"]) == 3
    assert answer["wrong"] == []
    assert engine.runtime.healthy(specs.release_spec(release))
    assert engine.served_by() == 1


def test_what_no_machine_can_mend_is_named(engine: Engine) -> None:
    activity = ActivityFactory(environment=engine.environment, state=State.FAILED)
    StepFactory(activity=activity, state=StepState.RUNNING, title="Build store")
    write_log(activity, "a\nb\nc", lines_per_chunk=1)
    LogChunk.objects.filter(activity=activity, number=2).delete()
    answer = doctor("--repair")
    assert [each["found"] for each in answer["wrong"]] == [
        f"The log of activity {activity.pk} has a gap: 2 of 3 chunks",
        f"Step Build store of {activity} runs although the activity has ended",
    ]
    assert not any(each["can_be_mended"] for each in answer["wrong"])
