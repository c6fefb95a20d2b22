from typing import Any

import pytest
from django.conf import settings as django_settings

from deployments import state
from deployments.enums import Fault, Kind, State, StepState
from deployments.models import Release
from environments import edge
from environments.models import Domain, Environment, Host, Service
from portal.crypto import encrypt
from tests.deployments.engine import APP, FILES, Engine, log_of, steps_of

SERVICES = {
    ".platform.app.yaml": APP + "relationships:\n    cache: 'cache:redis'\n",
    ".platform/services.yaml": "cache:\n    type: 'redis:7.0'\n",
    "serve.py": "",
}


def test_activation_builds_starts_probes_and_switches(engine: Engine) -> None:
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert (activity.state, activity.error_id) == (State.SUCCEEDED, "")
    assert activity.outcome == f"v1 is live at {engine.environment.url}"
    assert steps_of(activity) == [
        (title, StepState.SUCCEEDED)
        for title in (
            "Check configuration",
            "Build app",
            "Start release v1",
            "Deploy hook",
            "Probe",
            "Switch traffic",
            "Tidy up",
        )
    ]
    assert engine.environment.is_active
    assert engine.environment.deployed_at is not None
    assert engine.served_by() == 1
    release = Release.objects.get(environment=engine.environment)
    assert (release.number, release.state, release.subject) == (1, Release.State.LIVE, "Begin")
    assert activity.payload["release"] == 1
    assert Host.objects.get(environment=engine.environment).name == engine.environment.host
    assert "building" in log_of(activity)
    assert "deploying" in log_of(activity)
    assert not django_settings.HOME.build(activity.pk).exists()


def test_a_push_puts_the_next_release_beside_and_drains_the_old_one(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.run(engine.push(FILES | {"serve.py": "print('changed')\n"}))
    assert activity.state == State.SUCCEEDED
    assert ("Drain v1", StepState.SUCCEEDED) in steps_of(activity)
    assert engine.served_by() == 2
    assert list(engine.runtime.releases(_place(engine))) == [2]
    assert dict(Release.objects.values_list("number", "state")) == {1: Release.State.RETIRED, 2: Release.State.LIVE}


def test_an_unchanged_tree_is_not_built_again_on_any_branch(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    for activity in (
        engine.run(engine.ask(Kind.REDEPLOY)),
        engine.run(engine.ask(Kind.ACTIVATE, engine.project.environments.get(branch="staging"))),
    ):
        assert activity.steps.get(name="build:app").note == "reused"
        assert "Reusing existing build" in log_of(activity)
    assert len([entry for entry in engine.runtime.journal() if entry["verb"] == "build"]) == 2  # one begin, one end


def test_a_change_of_routes_alone_needs_no_build(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    routes = {".platform/routes.yaml": "'https://www.{default}/':\n    type: upstream\n    upstream: 'app:http'\n"}
    activity = engine.run(engine.push(FILES | routes))
    assert activity.steps.get(name="build:app").note == "reused"
    assert f"www.{engine.environment.host}" in set(Host.objects.values_list("name", flat=True))


@pytest.mark.parametrize(
    ("key", "old", "new", "error_id", "step"),
    [
        ("build", "echo building", "exit 3", "build-hook-failed", "build:app"),
        ("deploy", "echo deploying", "exit 4", "deploy-hook-failed", "deploy_hook:app"),
    ],
)
def test_a_failed_hook_leaves_the_old_release_serving(
    engine: Engine, key: str, old: str, new: str, error_id: str, step: str
) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.run(engine.push(FILES | {".platform.app.yaml": APP.replace(old, new)}))
    assert (activity.state, activity.fault, activity.error_id) == (State.FAILED, Fault.USER, error_id)
    assert f"The {key} hook of app ended with exit code" in activity.outcome
    assert activity.outcome.endswith("v1 keeps serving.")
    assert activity.outcome in log_of(activity)
    assert activity.steps.get(name=step).state == StepState.FAILED
    assert not activity.steps.filter(state__in=[StepState.PENDING, StepState.RUNNING]).exists()
    check_serving(engine, 1)


@pytest.mark.parametrize("verb", ["build", "place", "start", "run", "probe"])
def test_whatever_fails_before_the_switch_leaves_no_trace(engine: Engine, verb: str) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    engine.runtime.fail(verb)
    activity = engine.run(engine.push(FILES | {"serve.py": "other"}))
    assert (activity.state, activity.error_id) == (State.FAILED, f"{verb}-failed")
    check_serving(engine, 1)


def test_a_failed_activation_removes_what_it_made(engine: Engine) -> None:
    engine.push(SERVICES)
    for activity in engine.environment.activities.order_by("sequence"):
        engine.run(activity)
    engine.runtime.fail("probe")
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.FAILED
    assert not engine.environment.is_active
    assert engine.served_by() is None
    assert not Service.objects.exists()
    assert list(engine.runtime.releases(_place(engine))) == []
    assert list(engine.runtime.services(_place(engine))) == []


def test_a_failing_post_deploy_hook_is_reported_and_the_release_stays(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    app = APP + "    post_deploy: |\n        exit 9\n"
    activity = engine.run(engine.push(FILES | {".platform.app.yaml": app}))
    assert (activity.state, activity.error_id) == (State.FAILED, "post-deploy-hook-failed")
    assert activity.outcome == "v2 is live, but: The post_deploy hook of app ended with exit code 9."
    check_serving(engine, 2)


def test_a_push_to_an_inactive_environment_is_only_checked(engine: Engine) -> None:
    activity = engine.run(engine.push(FILES | {"serve.py": "x"}))
    assert activity.state == State.SUCCEEDED
    assert "is inactive: there is nothing to deploy" in activity.outcome
    assert steps_of(activity) == [("Check configuration", StepState.SUCCEEDED)]
    assert not engine.environment.is_active


def test_a_broken_manifest_names_file_and_line(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.run(engine.push({".platform.app.yaml": "name: app\ntype: 'python:3.11'\nhoks: {}\n"}))
    assert (activity.state, activity.fault, activity.error_id) == (State.FAILED, Fault.USER, "configuration-invalid")
    assert ".platform.app.yaml:3" in activity.outcome
    check_serving(engine, 1)


def test_services_are_recorded_with_an_address_of_their_own_and_their_secrets_stay_out_of_the_log(
    engine: Engine,
) -> None:
    engine.push(SERVICES)
    engine.run(engine.environment.activities.get())
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.SUCCEEDED, activity.outcome
    service = Service.objects.get()
    assert (service.name, service.engine, service.asked) == ("cache", "redis", "redis:7.0")
    assert str(service.address).startswith("127.")
    assert list(engine.runtime.services(_place(engine))) == ["cache"]
    from deployments.pipeline import specs

    secret = str(next(iter(specs.service_spec(service).secrets.values())))
    assert secret not in service.secret
    app = SERVICES[".platform.app.yaml"].replace("echo deploying", f"echo the password is {secret}")
    activity = engine.run(engine.push(SERVICES | {".platform.app.yaml": app}))
    assert "the password is [secret]" in log_of(activity)
    assert secret not in log_of(activity)
    # What is no longer asked for goes, once the new release serves.
    engine.run(engine.push(FILES))
    assert not Service.objects.exists()
    assert list(engine.runtime.services(_place(engine))) == []


def test_a_service_that_changes_its_engine_is_refused_and_keeps_its_data(engine: Engine) -> None:
    engine.push(SERVICES)
    engine.run(engine.environment.activities.get())
    engine.run(engine.ask(Kind.ACTIVATE))
    app = SERVICES[".platform.app.yaml"].replace("cache:redis", "cache:postgresql")
    services = "cache:\n    type: 'postgresql:15'\n    disk: 256\n"
    changed = SERVICES | {".platform.app.yaml": app, ".platform/services.yaml": services}
    activity = engine.run(engine.push(changed))
    assert (activity.state, activity.error_id, activity.fault) == (State.FAILED, "service-changed", Fault.USER)
    assert "a name of its own" in activity.outcome
    assert Service.objects.get().engine == "redis"
    assert list(engine.runtime.services(_place(engine))) == ["cache"]


def test_two_releases_never_share_a_port(engine: Engine) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    engine.run(engine.ask(Kind.ACTIVATE, engine.project.environments.get(branch="staging")))
    engine.run(engine.push(FILES | {"serve.py": "y"}))
    ports = [port for ports in Release.objects.values_list("ports", flat=True) for port in ports.values()]
    assert len(ports) == len(set(ports)) == 3


def test_what_nobody_foresaw_is_the_platforms_failure_with_a_reference(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret detail")

    monkeypatch.setattr(engine.runtime, "start", broken)
    activity = engine.run(engine.push(FILES | {"serve.py": "z"}))
    assert (activity.state, activity.fault, activity.error_id) == (State.FAILED, Fault.PLATFORM, "unexpected")
    assert "the secret detail" not in activity.outcome + log_of(activity)
    assert "the secret detail" in caplog.text
    check_serving(engine, 1)


def test_a_stale_worker_cannot_switch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.push(FILES | {"serve.py": "late"})
    probe = engine.runtime.probe

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        type(activity).objects.filter(pk=activity.pk).update(worker="somebody else", fence=77)
        return probe(*args, **kwargs)

    monkeypatch.setattr(engine.runtime, "probe", overtaken)
    engine.run(activity)
    assert activity.state == State.RUNNING  # as far as this worker is concerned: it is not its own any more
    assert activity.worker == "somebody else"
    assert engine.served_by() == 1
    assert Release.objects.get(number=2).state == Release.State.STARTING


def test_a_lost_switch_is_gone_on_with(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies between the database's switch and the edge's."""
    from environments import edge

    engine.run(engine.ask(Kind.ACTIVATE))
    activity = engine.push(FILES | {"serve.py": "next"})
    with monkeypatch.context() as patched:

        def die(*_: Any) -> None:
            raise state.LostLease("died")

        patched.setattr(edge, "switch", die)
        engine.run(activity)
    assert Release.objects.get(number=2).state == Release.State.LIVE
    assert engine.served_by() == 1
    type(activity).objects.filter(pk=activity.pk).update(lease_until="2020-01-01T00:00:00Z")
    from deployments.pipeline import sweeping

    sweeping.sweep()
    activity.refresh_from_db()
    assert activity.state == State.PENDING
    engine.run(activity)
    assert activity.state == State.SUCCEEDED
    check_serving(engine, 2)
    begun = [entry["verb"] for entry in engine.runtime.journal() if entry["what"] == "begin" and entry["number"] == 2]
    assert begun.count("start") == 1


def check_serving(engine: Engine, number: int) -> None:
    """I2 and I4: what serves is one recorded release, and nothing else is left on the runtime."""
    assert engine.served_by() == number
    assert list(engine.runtime.releases(_place(engine))) == [number]
    live = Release.objects.get(environment=engine.environment, state=Release.State.LIVE)
    assert live.number == number
    assert not Release.objects.filter(state=Release.State.STARTING).exists()
    builds = django_settings.HOME.build("x").parent
    assert not builds.exists() or not list(builds.iterdir())
    assert Environment.objects.get(pk=engine.environment.pk).is_active


def _place(engine: Engine) -> Any:
    from deployments.pipeline import specs

    return specs.place_of(engine.environment)


@pytest.mark.parametrize("host", ["master-abcdefg-otherproject1.localhost", "x.master-abcdefg-otherproject1.localhost"])
def test_the_generated_host_of_another_environment_cannot_be_taken(engine: Engine, host: str) -> None:
    """Also while that environment is inactive, so that nobody sits on its place and answers in its name."""
    production = engine.project.environments.get(branch="production")
    files = FILES | {".platform/routes.yaml": f"'http://{host}/':\n    type: upstream\n    upstream: 'app:http'\n"}
    commit = engine.commit(files, "production")
    activity = engine.run(engine.ask(Kind.ACTIVATE, production, commit=commit))
    assert (activity.state, activity.error_id) == (State.FAILED, "host-reserved")
    assert not Host.objects.exists()


def test_production_answers_at_its_domains_and_at_its_generated_host(engine: Engine) -> None:
    production = engine.project.environments.get(branch="production")
    routes = """
"http://{default}/": {type: upstream, upstream: "app:http", redirects: {paths: {"/old": {to: "/new"}}}}
"http://www.{default}/": {type: redirect, to: "http://{default}/"}
"http://elsewhere.example/": {type: upstream, upstream: "app:http"}
"""
    commit = engine.commit(FILES | {".platform/routes.yaml": routes}, "production")
    Domain.objects.create(project=engine.project, name="shop.example", is_default=True)
    activity = engine.run(engine.ask(Kind.ACTIVATE, production, commit=commit))
    assert activity.state == State.SUCCEEDED, activity.outcome
    generated = {production.host, f"www.{production.host}"}
    assert set(Host.objects.values_list("name", flat=True)) == {"shop.example", "www.shop.example", *generated}
    served = edge.hosts_on(django_settings.HOME.sockets(production.pk))
    assert set(served) == {"shop.example", "www.shop.example", *generated}
    assert "elsewhere.example is no domain of this project" in log_of(activity)
    kept = Release.objects.get(environment=production).configuration
    assert any("elsewhere.example" in warning for warning in kept["route_warnings"])
    assert [each["path"] for url, found in kept["redirects"].items() for each in found if "shop" in url] == ["/old"]
    assert "http://shop.example" in " ".join(kept["routes"])


def test_secrets_of_the_project_and_of_builds_are_hidden_in_the_log(engine: Engine, settings: Any) -> None:
    settings.BUILD_ENVIRONMENT = {
        "INDEX": "https://ci:pa55%2Fword@packages.example.com/simple",
        "NPM_TOKEN": "npm_123456",
    }
    type(engine.project).objects.update(entropy_sealed=encrypt("e" * 30 + "ntropy"))
    told = f"echo {'e' * 30}ntropy npm_123456 https://ci:pa55%2Fword@packages.example.com"
    activity = engine.run(engine.push(FILES | {".platform.app.yaml": APP.replace("echo building", told)}))
    activity = engine.run(engine.ask(Kind.ACTIVATE))
    assert activity.state == State.SUCCEEDED, activity.outcome
    assert "[secret] [secret] https://ci:[secret]@packages.example.com" in log_of(activity)
