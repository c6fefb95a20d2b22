import base64
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from platformshconfig import Config
from platformshconfig.config import BuildTimeVariableAccessException

from environments import variables
from environments.backing import engine_for
from environments.manifest import DictSource, Manifest, load
from environments.routing import resolve
from environments.runtimes.base import Place, ServiceSpec
from environments.variables import Variable, build_environment, run_environment
from portal.errors import Invalid

CONFORMANCE = Path(__file__).parents[1] / "conformance"

APP = """
name: shop
type: python:3.11
relationships:
    database: "db:postgresql"
    cache: "store:redis"
variables:
    env:
        greeting: hello
        NUMBERS: [1, 2]
        PLATFORM_BRANCH: mine
    php:
        memory_limit: 1G
    theme:
        color: blue
hooks:
    build: make
    deploy: migrate
web:
    commands:
        pre_start: warm
        start: serve --port $PORT
    locations:
        "/files":
            root: files
        "/":
            root: public
            passthru: true
workers:
    queue:
        commands:
            start: work
        variables:
            env:
                QUEUE: fast
crons:
    clean:
        spec: "H * * * *"
        commands:
            start: tidy
"""
SERVICES = """
db:
    type: postgresql:14
    disk: 256
store:
    type: redis:7.2
"""
ROUTES = """
"https://{default}/":
    type: upstream
    upstream: "shop:http"
    primary: true
    id: main
    attributes: {kind: front}
"https://www.{default}/":
    type: redirect
    to: "https://{default}/"
"""


@dataclass(frozen=True)
class OneProject:
    id: str = "abcdefghijklm"
    entropy: str = "e" * 56


@dataclass(frozen=True)
class OneEnvironment:
    branch: str = "master"
    machine_name: str = "master-7rqtwti"
    type: str = "integration"


def manifest(app: str = APP) -> Manifest:
    files = {".platform.app.yaml": app, ".platform/services.yaml": SERVICES, ".platform/routes.yaml": ROUTES}
    return load(DictSource({name: text.encode() for name, text in files.items()}))


def service(name: str, asked: str) -> ServiceSpec:
    engine = engine_for(asked)
    return ServiceSpec(
        place=Place("abcdefghijklm", "master-7rqtwti", 1),
        name=name,
        engine=engine.name,
        version="0",
        asked=asked,
        address="127.64.1.2",
        port=engine.port,
        secrets=engine.new_secrets({}),
        configuration={},
    )


def relationships() -> dict[str, list[dict[str, Any]]]:
    postgresql, redis = service("db", "postgresql:14"), service("store", "redis:7.2")
    return {
        "database": [engine_for("postgresql").relationship(postgresql, "database", "postgresql")],
        "cache": [engine_for("redis").relationship(redis, "cache", "redis")],
    }


def running(text: str = APP, **changes: Any) -> dict[str, str]:
    read = manifest(text)
    routes = resolve(read, default_host="master-7rqtwti-abcdefghijklm.localhost", scheme="http", port=8000)
    given: dict[str, Any] = {
        "project": OneProject(),
        "environment": OneEnvironment(),
        "app": read.apps[0],
        "tree_id": "f" * 40,
        "relationships": relationships(),
        "routes": routes,
        "port": 40001,
    }
    return run_environment(**(given | changes))


def building(**changes: Any) -> dict[str, str]:
    return build_environment(project=OneProject(), app=manifest().apps[0], tree_id="f" * 40, **changes)


def decoded(environment: dict[str, str], name: str) -> Any:
    return json.loads(base64.b64decode(environment[name]))


def test_a_build_sees_its_app_and_nothing_of_an_environment() -> None:
    environment = building()
    assert sorted(environment) == [
        "CI",
        "GREETING",
        "NUMBERS",
        *("PLATFORM_APPLICATION", "PLATFORM_APPLICATION_NAME", "PLATFORM_APP_DIR"),
        "PLATFORM_BRANCH",  # the app's own, as the platform provides none in a build
        *("PLATFORM_CACHE_DIR", "PLATFORM_OUTPUT_DIR", "PLATFORM_PROJECT", "PLATFORM_PROJECT_ENTROPY"),
        *("PLATFORM_TREE_ID", "PLATFORM_VARIABLES", "PLATFORM_VENDOR"),
    ]
    application = decoded(environment, "PLATFORM_APPLICATION")
    assert not application.keys() & {"access", "relationships", "crons"}
    assert application["hooks"] == {"build": "make"}


def test_a_program_sees_where_it_is() -> None:
    environment = running()
    expected = {
        "PLATFORM_APPLICATION_NAME": "shop",
        "PLATFORM_APP_COMMAND": "serve --port $PORT",
        "PLATFORM_APP_DIR": "/app",
        "PLATFORM_BRANCH": "master",
        "PLATFORM_DOCUMENT_ROOT": "/app/public",
        "PLATFORM_ENVIRONMENT": "master-7rqtwti",
        "PLATFORM_ENVIRONMENT_TYPE": "development",
        "PLATFORM_PRE_APP_COMMAND": "warm",
        "PLATFORM_PROJECT": "abcdefghijklm",
        "PLATFORM_PROJECT_ENTROPY": "e" * 56,
        "PLATFORM_SMTP_HOST": "",
        "PLATFORM_TREE_ID": "f" * 40,
        "PORT": "40001",
    }
    assert {name: environment[name] for name in expected} == expected
    assert not environment.keys() & {"CI", "PLATFORM_CACHE_DIR", "SOCKET", "PLATFORM_POST_APP_COMMAND"}
    application = decoded(environment, "PLATFORM_APPLICATION")
    assert application["crons"]["clean"]["spec"] == "H * * * *"
    assert application["hooks"]["deploy"] == "migrate"


@pytest.mark.parametrize("kind", ["staging", "production"])
def test_staging_and_production_are_called_so(kind: str) -> None:
    assert running(environment=OneEnvironment(type=kind))["PLATFORM_ENVIRONMENT_TYPE"] == kind


def test_a_worker_has_its_own_variables_and_command() -> None:
    app = manifest().apps[0]
    environment = running(app=app, worker=app.workers["queue"], port=None)
    assert environment["PLATFORM_APP_COMMAND"] == "work"
    assert environment["QUEUE"] == "fast"
    assert not environment.keys() & {"GREETING", "PORT", "PLATFORM_PRE_APP_COMMAND"}


def test_a_program_that_listens_on_a_socket_is_told_its_path() -> None:
    environment = running(port=None, socket="/run/app.sock")
    assert environment["SOCKET"] == "/run/app.sock"
    assert "PORT" not in environment


def test_the_magento_flavour_has_the_same_values_under_both_prefixes() -> None:
    for environment in (running(flavour="magento"), building(flavour="magento")):
        platform = {
            name.removeprefix("PLATFORM_"): v for name, v in environment.items() if name.startswith("PLATFORM_")
        }
        magento = {
            name.removeprefix("MAGENTO_CLOUD_"): v
            for name, v in environment.items()
            if name.startswith("MAGENTO_CLOUD_")
        }
        assert platform.items() >= magento.items()
        assert {"APPLICATION", "VARIABLES"} <= magento.keys()
    assert {"RELATIONSHIPS", "ROUTES", "ENVIRONMENT"} <= {
        name.removeprefix("MAGENTO_CLOUD_") for name in running(flavour="magento")
    }
    assert not any(name.startswith("MAGENTO") for name in running())


def test_the_apps_own_variables_are_text_or_json_in_upper_case() -> None:
    environment = running()
    assert environment["GREETING"] == "hello"
    assert environment["NUMBERS"] == "[1,2]"
    assert decoded(environment, "PLATFORM_VARIABLES") == {"theme:color": "blue"}


def test_the_platform_wins_over_environment_over_project_over_app() -> None:
    given = [
        Variable("env:greeting", "project"),
        Variable("env:GREETING", "environment"),
        Variable("env:PORT", "1"),
        Variable("theme:color", {"hue": 3}),
        Variable("plain", "kept"),
    ]
    environment = running(variables=given)
    assert environment["GREETING"] == "environment"
    assert environment["PORT"] == "40001"
    assert environment["PLATFORM_BRANCH"] == "master"
    assert decoded(environment, "PLATFORM_VARIABLES") == {"theme:color": {"hue": 3}, "plain": "kept"}


def test_a_disabled_variable_hides_what_is_inherited() -> None:
    given = [Variable("theme:color", "red"), Variable("theme:color", "", is_enabled=False)]
    assert decoded(running(variables=given), "PLATFORM_VARIABLES") == {}


def test_builds_and_programs_each_see_what_is_visible_to_them() -> None:
    given = [
        Variable("env:AT_BUILD", "b", visible_build=True, visible_runtime=False),
        Variable("env:AT_RUN", "r"),
        Variable("at_build", 1, visible_build=True, visible_runtime=False),
    ]
    build, run = building(variables=given), running(variables=given)
    assert (build["AT_BUILD"], run["AT_RUN"]) == ("b", "r")
    assert "AT_RUN" not in build
    assert "AT_BUILD" not in run
    assert decoded(build, "PLATFORM_VARIABLES") == {"theme:color": "blue", "at_build": 1}


@pytest.mark.parametrize("name", ["env:", "env:A B", "env:1ST", "env:A=B", "env:A\nB", "env:É"])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="cannot be the name"):
        running(variables=[Variable(name, "x")])


@pytest.mark.parametrize(("value", "says"), [("a\0b", "NUL"), ("\ud800", "not text"), ("x" * 131_072, "131071")])
def test_what_no_program_can_be_started_with_is_refused(value: str, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        running(variables=[Variable("env:LONG", value)])


def test_the_limit_of_one_variable_is_the_kernels() -> None:
    value = "x" * (variables.MAX_BYTES - len("LONG="))
    environment = running(variables=[Variable("env:LONG", value)])
    assert subprocess.run(["/bin/true"], env=environment, check=False).returncode == 0


def test_all_variables_together_have_a_limit() -> None:
    many = [Variable(f"env:LONG{number}", "x" * 100_000) for number in range(11)]
    with pytest.raises(Invalid, match="together"):
        running(variables=many)


def test_an_app_without_static_files_has_its_own_folder_as_document_root() -> None:
    assert running("name: shop\ntype: python:3.11\n")["PLATFORM_DOCUMENT_ROOT"] == "/app"


def test_another_app_is_described_as_a_service_is() -> None:
    entry = variables.app_entry(
        relationship="api",
        app=manifest().apps[0],
        endpoint="http",
        address="127.0.0.1",
        port=40002,
        cluster="abcdefghijklm-master-7rqtwti",
    )
    assert entry.keys() == relationships()["cache"][0].keys()
    assert (entry["host"], entry["port"], entry["rel"], entry["service"]) == ("api.internal", 40002, "http", "shop")


# -- what existing applications read it with --------------------------------------------------------------------------


def test_the_python_library_reads_a_running_program() -> None:
    config = Config(environment_variables=running())
    database = relationships()["database"][0]
    assert config.is_valid_platform()
    assert config.in_runtime()
    assert not config.in_build()
    assert (config.applicationName, config.project, config.port) == ("shop", "abcdefghijklm", "40001")
    assert config.projectEntropy == "e" * 56
    assert config.application()["type"] == "python:3.11"
    assert config.get_primary_route()["upstream"] == "shop"
    url = "http://master-7rqtwti-abcdefghijklm.localhost:8000/"
    assert list(config.get_upstream_routes("shop")) == [url]
    assert config.get_route("main")["url"] == url
    assert config.get_route("main")["original_url"] == "https://{default}/"
    read = config.credentials("database")
    assert {name: read[name] for name in read if name != "password"} == {
        name: database[name] for name in database if name != "password"
    }
    expected = f"postgresql://main:{read['password']}@database.internal:5432/main"
    assert config.formatted_credentials("database", "postgresql_dsn") == expected
    assert config.variable("theme:color") == "blue"


def test_the_python_library_tells_a_build() -> None:
    config = Config(environment_variables=building())
    assert config.is_valid_platform()
    assert config.in_build()
    assert config.application()["name"] == "shop"
    for read in (config.routes, lambda: config.credentials("database")):
        with pytest.raises(BuildTimeVariableAccessException):
            read()


@pytest.fixture(scope="session")
def node_library() -> Path:
    """The npm package, installed once per home of the tests."""
    target = settings.SLIPWAY_HOME / "conformance"
    if not (target / "node_modules").exists():
        shutil.copytree(CONFORMANCE, target, dirs_exist_ok=True)
        npm = shutil.which("npm")
        assert npm is not None, "the development requirements name npm"
        options = ["--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run([npm, "ci", *options], cwd=target, check=True, capture_output=True, timeout=120)
    return target


def read_with_node(library: Path, environment: dict[str, str]) -> Any:
    done = subprocess.run(
        ["node", "read.js"],
        cwd=library,
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
        capture_output=True,
        timeout=30,
    )
    return json.loads(done.stdout)


def test_the_node_library_reads_a_running_program(node_library: Path) -> None:
    search = [{"host": "search.internal", "ip": "127.64.1.3", "port": 8080, "path": "solr/main", "scheme": "solr"}]
    environment = running(relationships=relationships() | {"search": search})
    read = read_with_node(node_library, environment)
    database = decoded(environment, "PLATFORM_RELATIONSHIPS")["database"][0]
    url = "http://master-7rqtwti-abcdefghijklm.localhost:8000/"
    assert (read["valid"], read["build"], read["runtime"]) == (True, False, True)
    assert (read["application"], read["appDir"], read["port"]) == ("shop", "/app", "40001")
    assert read["environment"] == "master-7rqtwti"
    assert read["primary"]["upstream"] == "shop"
    assert (read["upstream"], read["route"]) == ([url], url)
    assert read["credentials"] == database
    assert read["mongodb"] == f"mongodb://main:{database['password']}@database.internal:5432/main"
    assert read["solr"] == {"host": "search.internal", "port": 8080, "core": "main", "protocol": "http"}
    assert read["has"] == [True, False]
    assert read["variable"] == "blue"


def test_the_node_library_tells_a_build(node_library: Path) -> None:
    read = read_with_node(node_library, building())
    assert (read["valid"], read["build"], read["runtime"]) == (True, True, False)
    assert read["application"] == "shop"
    assert read["credentials"].keys() == {"error"}
