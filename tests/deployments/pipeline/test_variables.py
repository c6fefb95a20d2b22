import base64
import json
from typing import Any

from deployments.actions import variables as actions
from deployments.actions.variables import Draft
from deployments.enums import Kind, State
from deployments.models import Release, VariableSet
from deployments.pipeline import specs
from environments.models import Environment
from environments.process import Watch
from environments.runtimes.base import BuildSpec
from tests.deployments.engine import APP, FILES, Engine, log_of, steps_of


def put(engine: Engine, *drafts: Draft, environment: Environment | None = None) -> None:
    place = environment or engine.environment
    seen = actions.version(actions.own(engine.project, place))
    known = {row.name: row.pk for row in actions.own(engine.project, place)}
    kept = [Draft(**{**vars(draft), "key": known.get(draft.name)}) for draft in drafts]
    actions.save(engine.project, place, kept, seen=seen, by=engine.by)


def env_of(engine: Engine) -> dict[str, Any]:
    release = Release.objects.get(environment=engine.environment, state=Release.State.LIVE)
    return dict(specs.release_spec(release).programs[0].env)


def test_a_release_runs_with_what_was_set_when_it_was_made(engine: Engine) -> None:
    put(engine, Draft(None, "env:COLOUR", "red"), Draft(None, "theme:size", "[4]", is_json=True))
    engine.run(engine.ask(Kind.ACTIVATE))
    assert env_of(engine)["COLOUR"] == "red"
    assert json.loads(base64.b64decode(env_of(engine)["PLATFORM_VARIABLES"])) == {"theme:size": [4]}
    put(engine, Draft(None, "env:COLOUR", "blue"))
    assert env_of(engine)["COLOUR"] == "red"  # whoever starts it again, or opens a shell in it
    engine.run(engine.ask(Kind.REDEPLOY))
    assert env_of(engine)["COLOUR"] == "blue"


def test_unchanged_variables_are_stored_once(engine: Engine) -> None:
    put(engine, Draft(None, "env:COLOUR", "red"))
    engine.run(engine.ask(Kind.ACTIVATE))
    engine.run(engine.ask(Kind.REDEPLOY))
    assert (Release.objects.count(), VariableSet.objects.count()) == (2, 1)
    assert "red" not in VariableSet.objects.get().sealed


def test_a_child_takes_over_what_it_inherits_with_its_next_deployment(engine: Engine) -> None:
    parent = engine.environment.parent
    assert parent is not None
    put(engine, Draft(None, "env:COLOUR", "red"), environment=parent)
    engine.run(engine.ask(Kind.ACTIVATE))
    assert env_of(engine)["COLOUR"] == "red"
    put(engine, Draft(None, "env:COLOUR", "blue"), environment=parent)
    assert env_of(engine)["COLOUR"] == "red"
    engine.run(engine.ask(Kind.REDEPLOY))
    assert env_of(engine)["COLOUR"] == "blue"


def test_only_what_builds_see_makes_another_build(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    put(engine, Draft(None, "env:RUN", "1"))
    engine.run(engine.ask(Kind.REDEPLOY))
    put(engine, Draft(None, "env:BUILD", "1", visible_build=True))
    engine.run(engine.ask(Kind.REDEPLOY))
    put(engine, Draft(None, "env:BUILD", "2", visible_build=True))
    engine.run(engine.ask(Kind.REDEPLOY))
    slugs = list(Release.objects.order_by("number").values_list("slugs", flat=True))
    assert slugs[0] == slugs[1]
    assert len({json.dumps(each) for each in slugs}) == 3


def test_builds_see_what_is_visible_to_them_alone(engine: Engine, monkeypatch: Any) -> None:
    asked: list[BuildSpec] = []
    real = engine.runtime.build

    def build(spec: BuildSpec, watch: Watch) -> None:
        asked.append(spec)
        real(spec, watch)

    monkeypatch.setattr(engine.runtime, "build", build)
    put(
        engine,
        Draft(None, "env:BUILD", "1", visible_build=True, visible_runtime=False),
        Draft(None, "env:RUN", "1"),
        Draft(None, "php:memory_limit", "1G", visible_build=True),
    )
    engine.run(engine.ask(Kind.ACTIVATE))
    (built,) = asked
    assert "BUILD" in built.env
    assert "RUN" not in built.env
    assert built.app.variables["php"] == {"memory_limit": "1G"}
    assert "RUN" in env_of(engine)
    assert "BUILD" not in env_of(engine)


def test_sensitive_values_stay_out_of_the_log(engine: Engine) -> None:
    put(engine, Draft(None, "env:TOKEN", "correct-horse", is_sensitive=True, visible_build=True))
    files = FILES | {".platform.app.yaml": APP.replace("echo building", "echo correct-horse")}
    engine.run(engine.push(files))
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.SUCCEEDED
    assert "correct-horse" not in log_of(activity)
    assert "[secret]" in log_of(activity)


def test_a_change_during_a_deployment_waits_for_the_next(engine: Engine, monkeypatch: Any) -> None:
    put(engine, Draft(None, "env:COLOUR", "red", visible_build=True))
    real = engine.runtime.build

    def build(*args: Any, **kwargs: Any) -> Any:
        put(engine, Draft(None, "env:COLOUR", "blue", visible_build=True))
        return real(*args, **kwargs)

    monkeypatch.setattr(engine.runtime, "build", build)
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.SUCCEEDED, steps_of(activity)
    assert env_of(engine)["COLOUR"] == "red"


def test_an_environment_is_deleted_with_its_variables(engine: Engine) -> None:
    put(engine, Draft(None, "env:COLOUR", "red"))
    engine.run(engine.ask(Kind.ACTIVATE))
    engine.environment.delete()
    assert not VariableSet.objects.exists()
