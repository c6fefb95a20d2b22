import configparser
from pathlib import Path

import pytest

from launcher import supervisord
from launcher.errors import Refused
from launcher.home import Layout
from launcher.supervisord import Program


def parse(
    layout: Layout, programs: list[Program], code: Path = Path("/code")
) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), delimiters=("=",))
    parser.read_string(supervisord.config(layout, code, programs))
    return parser


def test_configuration_is_accepted_by_supervisor_itself(layout: Layout) -> None:
    from supervisor.options import ServerOptions

    python = Path("/usr/bin/python3")
    programs = supervisord.programs(layout, python, own_redis=True)
    layout.supervisor_config.write_text(supervisord.config(layout, layout.real, programs))
    options = ServerOptions()
    options.realize(["-c", str(layout.supervisor_config)], doc="supervisord")
    groups = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert set(groups) == {"redis", "web", "worker", "ssh", "edge"}
    assert groups["edge"].environment["HOME"] == str(layout.cache / "caddy")
    assert groups["edge"].directory == str(layout.edge)
    assert groups["web"].environment["SLIPWAY_PROGRAM"] == "web"
    assert groups["web"].stopasgroup
    assert groups["web"].killasgroup


def test_socket_is_only_for_its_user(layout: Layout) -> None:
    section = parse(layout, [])["unix_http_server"]
    assert section["file"] == str(layout.supervisor_socket)
    assert section["chmod"] == "0700"


def test_environments_add_their_own_programs(layout: Layout) -> None:
    assert parse(layout, [])["include"]["files"] == f"{layout.supervisor_programs}/*.ini"


def test_percent_signs_are_not_expanded(layout: Layout) -> None:
    parsed = parse(layout, [Program("web", ["run", "100%"], 1, {"A": "%(here)s"})], Path("/co%de"))
    assert parsed["program:web"]["command"] == "run 100%%"
    assert parsed["program:web"]["directory"] == "/co%%de"
    assert parsed["program:web"]["environment"] == 'A="%%(here)s",SLIPWAY_PROGRAM="web"'


@pytest.mark.parametrize("value", ['a"b', "a'b", "a\\b"])
def test_environment_that_supervisord_cannot_read_is_refused(layout: Layout, value: str) -> None:
    with pytest.raises(Refused, match="plainer"):
        supervisord.config(layout, Path("/code"), [Program("x", ["x"], 1, {"A": value})])


@pytest.mark.parametrize("value", ["a\nb", "a ;b"])
def test_values_that_would_break_the_file_are_refused(layout: Layout, value: str) -> None:
    with pytest.raises(Refused, match="plainer"):
        supervisord.config(layout, Path(value), [])


def test_redis_listens_on_its_socket_only(layout: Layout) -> None:
    lines = supervisord.redis_config(layout).splitlines()
    assert "port 0" in lines
    assert f"unixsocket {layout.redis_socket}" in lines
    assert "unixsocketperm 700" in lines


def test_redis_elsewhere_is_not_started_here(layout: Layout) -> None:
    programs = supervisord.programs(layout, Path("/p"), own_redis=False)
    assert [program.name for program in programs] == ["web", "worker", "ssh", "edge"]


def test_open_files_follow_the_limit() -> None:
    assert 0 < supervisord.open_files() <= 65536
