"""Whether environments get networks of their own: what the launcher asks, decides and writes down."""

from pathlib import Path
from typing import Any

import pytest

from launcher import network, settings
from launcher.errors import Refused
from launcher.home import Layout

HOLDER = "environments/runtimes/local"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "run").mkdir()
    return Layout(tmp_path, tmp_path)


def code(folder: Path, check: str) -> Path:
    """A checkout whose check does this."""
    (folder / HOLDER).mkdir(parents=True)
    (folder / HOLDER / "holder.py").write_text(check)
    return folder


def test_what_is_possible_is_done(layout: Layout, tmp_path: Path) -> None:
    found = network.settle(layout, code(tmp_path / "code", "pass"), "auto")
    assert (found.mode, found.reason) == ("isolated", "")
    assert network.read(layout) == found


def test_what_is_not_possible_is_said_with_the_reason(layout: Layout, tmp_path: Path, capsys: Any) -> None:
    lacks = code(tmp_path / "code", "raise SystemExit('slirp4netns is not installed')")
    found = network.settle(layout, lacks, "auto")
    assert found == network.State("shared", "slirp4netns is not installed")
    assert network.read(layout) == found
    assert "ENVIRONMENTS SHARE THIS HOST'S NETWORK: slirp4netns is not installed" in capsys.readouterr().out
    with pytest.raises(Refused, match="slirp4netns is not installed"):
        network.settle(layout, lacks, "isolated")


def test_who_asks_for_a_shared_network_gets_it(layout: Layout, tmp_path: Path) -> None:
    assert network.settle(layout, code(tmp_path / "code", "pass"), "shared").mode == "shared"


def test_nothing_is_known_before_the_first_start(layout: Layout) -> None:
    assert network.read(layout) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SLIPWAY_NETWORK", "yes"),
        ("SLIPWAY_NETWORK_ALLOW", "10.0.0.0/8, fd00::/8"),
        ("SLIPWAY_SMTP_URL", "mail.example:25"),
    ],
)
def test_bad_settings_are_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Refused, match=name):
        settings.read({name: value}, {})


def test_good_settings_are_kept_for_the_next_start() -> None:
    given = {"SLIPWAY_NETWORK": "isolated", "SLIPWAY_NETWORK_ALLOW": "10.20.0.0/16, 192.168.7.4/32"}
    assert given.items() <= settings.read(given, {}).kept().items()
