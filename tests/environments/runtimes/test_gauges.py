"""What is read of a real release: its programs, what they use, its access log, and its disk."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from environments.process import Watch
from environments.runtimes.base import Place
from environments.runtimes.gauges import Position
from environments.runtimes.local import gauges, weigh
from environments.runtimes.local.layout import Layout
from environments.runtimes.local.supervisor import Supervisor
from portal.paths import Home

from .apps import FILES, PYTHON
from .make import Maker

LINE = (
    '192.0.2.7 - - [26/Nov/2026:17:10:{second:02} +0000] "GET /{path} HTTP/1.1" {status} 12 '
    '"-" "a \\x22b\\x22" {took}{end}\n'
)


def line(second: int = 0, path: str = "", status: int = 200, took: float = 0.1, end: str = "") -> str:
    return LINE.format(second=second, path=path, status=status, took=took, end=end)


PLACE = Place("p", "main-abc", 1)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = Layout(Home(tmp_path), PLACE).logs / "access.log"
    path.parent.mkdir(parents=True)
    return path


def reader_of(tmp_path: Path) -> gauges.LocalGauges:
    return gauges.LocalGauges(Home(tmp_path), Supervisor(Home(tmp_path)))


def test_a_log_is_read_from_where_it_was_left_also_when_it_is_rotated(tmp_path: Path, log: Path) -> None:
    reader = reader_of(tmp_path)
    log.write_text(line(1))
    found = reader.requests(PLACE, None)
    assert (found.count, found.until.offset) == (0, len(line(1)))
    with log.open("a") as file:
        file.write(line(2, status=502, took=1.5) + line(3, end=" stranger") + line(4) + line(5)[:40])
    found = reader.requests(PLACE, found.until)
    assert (found.count, found.errors, list(found.seconds)) == (2, 1, [1.5, 0.1])
    assert found.last is not None
    assert time.gmtime(found.last).tm_sec == 4
    with log.open("a") as file:
        file.write(line(5)[40:] + line(6))
    log.rename(log.with_name("access.log.1"))
    log.write_text(line(7))
    found = reader.requests(PLACE, found.until)
    assert found.count == 3
    assert reader.requests(PLACE, found.until).count == 0
    log.write_text("")
    assert reader.requests(PLACE, found.until).count == 0
    log.unlink()
    assert reader.requests(PLACE, found.until).count == 0


def test_odd_lines_are_left_out(tmp_path: Path, log: Path) -> None:
    reader = reader_of(tmp_path)
    log.write_bytes(b"\xff\xfe\n\n" + b'""""""\n' + line(1).encode() + b"x" * 1000 + b"\n")
    assert reader.requests(PLACE, Position(log.stat().st_ino, 0)).count == 1


def test_folders_are_weighed_without_following_links(tmp_path: Path) -> None:
    environment = tmp_path / "environments" / "p" / "main-abc"
    media = environment / "mounts" / "app-app" / "media"
    media.mkdir(parents=True)
    (media / "big").write_bytes(b"x" * 100_000)
    os.link(media / "big", media / "again")
    (media / "out").symlink_to("/usr")
    (environment / "services" / "db" / "data").mkdir(parents=True)
    (environment / "logs").mkdir()
    result = tmp_path / "weights.json"
    subprocess.run([sys.executable, "-IS", weigh.__file__, str(tmp_path / "environments"), str(result)], check=True)
    found = json.loads(result.read_text())["p/main-abc"]
    assert 100_000 <= found["mounts"]["app-app"] < 150_000
    assert set(found["services"]) == {"db"}


def test_programs_are_counted_by_their_starts_and_said_how_they_ended(local: Any, maker: Maker) -> None:
    release = maker.release(PYTHON, FILES)
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=Watch(output=lambda _: None)).ok
    used = local.gauges.usage([maker.place])[maker.place.key]
    states = {program.name: program for program in used.programs}
    assert set(states) == {"app", "nginx"}
    assert all(program.alive and not program.restarts for program in states.values())
    assert used.memory > 1024**2
    assert used.cpu > 0
    infos = [info for info in Supervisor(maker.home).everything() if info["name"].endswith("-a0")]
    os.killpg(infos[0]["pid"], 9)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        again = local.gauges.usage([maker.place])[maker.place.key]
        state = next(program for program in again.programs if program.name == "app")
        if state.restarts:
            break
        time.sleep(0.1)
    assert state.restarts == 1
    assert state.last_exit
    local.remove(maker.place)
