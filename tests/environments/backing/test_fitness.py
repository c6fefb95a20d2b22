"""Services as files ask for them, against what their engine on this host understands."""

from pathlib import Path

from environments.backing import fitness
from environments.manifest import DictSource, Problem, load
from environments.runtimes.fake import FakeRuntime
from portal.paths import Home

APP = "name: app\ntype: 'python:3.11'\nweb: {commands: {start: a}}\n"


def examine(services: str, home: Home) -> tuple[list[Problem], list[Problem]]:
    files: dict[str, bytes | str] = {".platform.app.yaml": APP, ".platform/services.yaml": services}
    return fitness.examine(load(DictSource(files)), FakeRuntime(home))


def test_what_the_engine_refuses_is_told_with_file_line_and_key(tmp_path: Path) -> None:
    services = "db:\n  type: 'mysql:10.4'\n  configuration:\n    properties:\n      max_allowed_packet: 9999\n"
    (error,), _ = examine(services, Home(tmp_path))
    assert (error.file, error.line) == (".platform/services.yaml", 5)
    assert error.key == "db.configuration.properties.max_allowed_packet"
    assert "1 to 1024" in error.message


def test_an_unknown_property_comes_with_a_suggestion(tmp_path: Path) -> None:
    services = "db:\n  type: 'mariadb:10.11'\n  configuration: {properties: {sql_mod: ANSI}}\n"
    (error,), _ = examine(services, Home(tmp_path))
    assert "sql_mode" in error.message


def test_what_is_understood_and_not_done_is_a_warning(tmp_path: Path) -> None:
    services = "db:\n  type: 'mariadb:10.11'\n  configuration: {rotate_passwords: true}\n"
    errors, (warning,) = examine(services, Home(tmp_path))
    assert not errors
    assert (warning.file, warning.line, warning.key) == (".platform/services.yaml", 3, "db.configuration")
    assert "rotate_passwords is ignored" in warning.message


def test_a_service_that_the_host_lacks_is_told_once(tmp_path: Path) -> None:
    errors, _ = examine("search: {type: 'opensearch:2', disk: 256}\n", Home(tmp_path))
    assert [error.key for error in errors] == ["search.type"]
