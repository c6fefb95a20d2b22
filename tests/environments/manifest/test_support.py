import pytest

from environments.manifest import DictSource, Problem, load
from environments.manifest.support import meets, nearest_version, placement, unsupported

from .make import app

ENGINES = {"mariadb": ["10.11.6"], "postgresql": ["15.5"], "redis": ["7.0.15"]}
LANGUAGES = {"php": ["8.2"], "python": ["3.11", "3.9"], "nodejs": ["18.19.0"]}
RUN = "web: {commands: {start: a}}\n"


def check(kind: str = "python:3.11", more: str = "", **files: str | bytes) -> tuple[list[Problem], list[Problem]]:
    return unsupported(app(RUN + more, head=f"name: app\ntype: '{kind}'\n", **files), ENGINES, LANGUAGES)


def test_what_the_host_has_is_used_in_silence() -> None:
    assert check(services="db: {type: 'mysql:10.11'}\ncache: {type: 'redis:7.0', size: AUTO}") == ([], [])


def test_a_language_that_is_not_on_the_host_is_an_error() -> None:
    (error,), warnings = check("ruby:3.3")
    assert (error.file, error.line, error.key) == (".platform.app.yaml", 2, "type")
    assert error.message == "ruby is not installed on this host."
    assert "python:3.11" in error.allowed
    assert not warnings


def test_another_version_is_used_with_a_warning_that_names_both() -> None:
    errors, (warning,) = check("python:3.13")
    assert not errors
    assert warning.message == "python:3.13 is not installed on this host. python:3.11, the nearest, is used instead."


def test_a_service_type_that_cannot_be_run_is_an_error_with_those_that_can() -> None:
    (error,), _ = check(services="\nsearch: {type: 'opensearch:2', disk: 256}")
    assert (error.file, error.line, error.key) == (".platform/services.yaml", 2, "search.type")
    assert error.message == "Services of type opensearch cannot be run here: Debian has no package of such a server."
    assert error.allowed == "mariadb:10.11.6, postgresql:15.5, redis:7.0.15"


def test_another_service_version_is_used_with_a_warning_that_names_both() -> None:
    errors, (warning,) = check(services="db: {type: 'mysql:10.4'}")
    assert not errors
    assert warning.message == "mysql:10.4 is not installed on this host. mariadb:10.11.6, the nearest, is used instead."


def test_redis_stands_in_for_valkey() -> None:
    manifest = app(RUN, services="cache: {type: 'valkey:8.0'}")
    assert placement(manifest.services["cache"], ENGINES) == ("redis", "7.0.15")
    assert placement(manifest.services["cache"], {**ENGINES, "valkey": ["8.1"]}) == ("valkey", "8.1")
    assert placement(manifest.services["cache"], {}) is None
    _, (warning,) = unsupported(manifest, ENGINES, LANGUAGES)
    assert "redis:7.0.15" in warning.message


def test_a_version_that_is_asked_for_more_exactly_than_the_host_tells_is_met() -> None:
    assert meets("3.11", "3.11.2")
    assert meets("20", "20.1")
    assert not meets("3.11", "3.1")
    assert nearest_version("3.11.2", ["3.11", "3.12"]) == "3.11"


@pytest.mark.parametrize(
    ("asked", "available", "chosen"),
    [
        ("3.11", ["3.9", "3.11.2", "3.13"], "3.11.2"),
        ("3", ["2.7", "3.9", "3.11"], "3.11"),
        ("3.13", ["3.9", "3.11"], "3.11"),
        ("3.10", ["3.9", "3.11"], "3.11"),
        ("8.4", ["7.4", "8.2"], "8.2"),
        ("24", ["18.19.0", "20.1"], "20.1"),
        ("10.4", ["10.11.6", "11.4"], "10.11.6"),
        ("8.0", ["8.0.36"], "8.0.36"),
        ("1.20", ["1.2"], "1.2"),
        ("7", [], None),
        ("1.0-beta", ["1.0"], "1.0"),
    ],
)
def test_the_nearest_version(asked: str, available: list[str], chosen: str | None) -> None:
    assert nearest_version(asked, available) == chosen
    assert nearest_version(asked, reversed(available)) == chosen


@pytest.mark.parametrize(
    ("more", "files", "key"),
    [
        ("firewall: {outbound: [{ports: [443]}]}\n", {}, "firewall"),
        ("size: 2XL\n", {}, "size"),
        ("runtime: {xdebug: {idekey: a}}\n", {}, "runtime.xdebug"),
        ("resources: {base_memory: 1024}\n", {}, "resources"),
        ("workers: {w: {size: S, commands: {start: a}}}\n", {}, "workers.w.size"),
        ("", {"services": "c: {type: 'redis:7.0', size: S}"}, "c.size"),
        (
            "",
            {"routes": "https://{default}/: {type: upstream, upstream: app, sticky: true}"},
            "https://{default}/.sticky",
        ),
        (
            "",
            {"routes": "https://{default}/: {type: upstream, upstream: app, tls: {client_authentication: request}}"},
            "https://{default}/.tls.client_authentication",
        ),
        ("build: {caches: {npm: {directory: .npm}}}\n", {}, "build.caches"),
        ("operations: {clear: {commands: {start: a}}}\n", {}, "operations"),
        ("source: {operations: {update: {command: a}}}\n", {}, "source.operations"),
        ("workers: {w: {commands: {start: a, post_start: b}}}\n", {}, "workers.w.commands.post_start"),
        (
            "",
            {"routes": "https://{default}/: {type: upstream, upstream: app, cache: {enabled: true}}"},
            "https://{default}/.cache",
        ),
        (
            "",
            {
                "routes": "https://{default}/: {type: upstream, upstream: app}\n"
                "https://{default}/api/: {type: proxy, to: 'https://example.com/'}"
            },
            "https://{default}/api/.type",
        ),
        ("", {"routes": "https://*.{default}/: {type: upstream, upstream: app}"}, "https://*.{default}/"),
    ],
)
def test_what_is_understood_but_has_no_effect_is_warned_about(more: str, files: dict[str, str], key: str) -> None:
    errors, (warning,) = check(more=more, **files)
    assert not errors
    assert warning.key == key
    assert warning.line


def test_switches_that_are_off_are_not_warned_about() -> None:
    off = "sticky: {enabled: false}, ssi: {enabled: false}, cache: {enabled: false}"
    routes = f"https://{{default}}/: {{type: upstream, upstream: app, {off}}}"
    assert check(routes=routes, more="preflight: {enabled: true}\nruntime: {}\n") == ([], [])


def test_a_relationship_to_an_app_on_a_socket_is_left_out_with_a_warning() -> None:
    apps = """
- {name: shop, type: 'php:8.2', source: {root: shop}}
- {name: api, type: 'python:3.11', source: {root: api}, web: {commands: {start: a}}}
- name: front
  type: 'nodejs:18'
  source: {root: front}
  web: {commands: {start: a}}
  workers: {queue: {commands: {start: b}}}
  relationships:
    shop: {service: shop, endpoint: http}
    api: {service: api, endpoint: http}
"""
    manifest = load(DictSource({".platform/applications.yaml": apps, ".platform/routes.yaml": ""}))
    errors, (warning,) = unsupported(manifest, ENGINES, LANGUAGES)
    assert not errors
    assert (warning.line, warning.key) == (10, "relationships.shop")
    assert "Unix socket" in warning.message
