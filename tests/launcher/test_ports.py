import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import ports
from launcher.errors import Refused


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def test_taken_port_is_refused_with_its_holder(taken: int) -> None:
    with pytest.raises(Refused) as refusal:
        ports.check(taken, "SLIPWAY_PORT")
    comm = Path("/proc/self/comm").read_text().strip()
    assert f"port {taken} is in use by {comm} (process {os.getpid()})" in str(refusal.value)
    assert "set SLIPWAY_PORT to a free port" in str(refusal.value)


def test_port_taken_on_ipv6_only_is_refused() -> None:
    with socket.socket(socket.AF_INET6) as listener:
        listener.bind(("::1", 0))
        listener.listen()
        with pytest.raises(Refused, match="in use"):
            ports.check(listener.getsockname()[1], "SLIPWAY_PORT")


def test_free_port_is_fine(taken: int) -> None:
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        free = probe.getsockname()[1]
    ports.check(free, "SLIPWAY_PORT")


def test_port_that_needs_root_is_refused_with_two_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = tmp_path / "lowest"
    lowest.write_text("1024\n")
    monkeypatch.setattr(ports, "_UNPRIVILEGED", lowest)
    with pytest.raises(Refused, match=r"ports below 1024 need.*ip_unprivileged_port_start=80"):
        ports.check(80, "SLIPWAY_PORT")


@pytest.mark.parametrize("text", ["", "0", "65536", "80a", "-1", "8 0", "٣", "1e3", "8000\n"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="SLIPWAY_SSH_PORT is"):
        ports.parse(text, "SLIPWAY_SSH_PORT")


@pytest.mark.parametrize("text", ["1", "8000", "65535"])
def test_ports(text: str) -> None:
    assert ports.parse(text, "SLIPWAY_PORT") == int(text)
