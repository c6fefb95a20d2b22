"""A real worker and a real private Redis around the fake runtime, on the test's own database."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings as django_settings
from django.db import connection

from deployments import dispatch
from deployments.enums import State
from deployments.models import Activity, LogChunk
from portal.paths import Home
from tests.deployments.conftest import fake_home as fake_home
from tests.deployments.conftest import stored as stored
from tests.deployments.engine import Engine

LEASE, HEARTBEAT, SWEEP = 1.5, 0.3, 0.5  # seconds; everything else is as in life


class Plant:
    """The processes, and how to hurt them."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.socket = home.root / "redis.sock"
        self.killed: dict[int, float] = {}  # pid -> when, by the monotonic clock
        self._redis: subprocess.Popen[bytes] | None = None
        self._workers: list[subprocess.Popen[bytes]] = []

    def start_redis(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        self._redis = subprocess.Popen(
            command, cwd=self.home.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        wait_for(self._pings)

    def stop_redis(self) -> None:
        if self._redis is not None:
            self._redis.kill()
            self._redis.wait()
            self._redis = None
        self.socket.unlink(missing_ok=True)

    def flush_redis(self) -> None:
        redis.Redis(unix_socket_path=str(self.socket)).flushall()

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        number = len(self._workers)
        command = [sys.executable, "-m", "celery", "-A", "portal.celery", "worker", "-c", "2", "-l", "INFO"]
        command += ["-Q", f"{dispatch.ACTIVITIES},{dispatch.HOUSEKEEPING}", "-n", f"w{number}@test"]
        log = (self.home.root / f"worker-{number}.log").open("wb")
        worker = subprocess.Popen(
            command,
            cwd=django_settings.BASE_DIR,
            env=self._environment() | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._workers.append(worker)
        wait_for(lambda: b" ready." in (self.home.root / f"worker-{number}.log").read_bytes(), 30)
        return worker

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self.killed[pid] = time.monotonic()

    def kill_whole(self, worker: subprocess.Popen[bytes]) -> None:
        """The worker with its children, at once."""
        for pid in self._members(worker.pid):
            self.killed[pid] = time.monotonic() + 0.2
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    def stop(self) -> None:
        for worker in self._workers:
            self.kill_whole(worker)
        self.stop_redis()

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace")[-5000:] for path in self.home.root.glob("worker-*.log"))

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "SLIPWAY_HOME": str(self.home.root),
            "SLIPWAY_RUNTIME": "fake",
            "SLIPWAY_LEASE": str(LEASE),
            "SLIPWAY_HEARTBEAT": str(HEARTBEAT),
            "SLIPWAY_SWEEP": str(SWEEP),
            "REDIS_URL": f"unix://{self.socket}",
        }

    def _pings(self) -> bool:
        with suppress(redis.RedisError, OSError):
            return bool(redis.Redis(unix_socket_path=str(self.socket)).ping())
        return False

    @staticmethod
    def _members(group: int) -> list[int]:
        found = subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture
def plant(settings: Any, monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> Iterator[Plant]:
    root = Path(tempfile.mkdtemp(prefix="sw-"))
    settings.SLIPWAY_HOME, settings.HOME, settings.RUNTIME = root, Home(root), "fake"
    settings.LEASE, settings.HEARTBEAT, settings.SWEEP = LEASE, HEARTBEAT, SWEEP
    plant = Plant(settings.HOME)
    settings.REDIS_URL = f"unix://{plant.socket}"
    settings.HOME.database.symlink_to(str(connection.settings_dict["NAME"]))
    sender = Celery("test", broker=f"redis+socket://{plant.socket}")
    sender.conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    monkeypatch.setattr(dispatch.app, "send_task", sender.send_task)
    monkeypatch.setattr(dispatch, "_silent_until", 0.0)
    plant.start_redis()
    yield plant
    plant.stop()
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def engine(plant: Plant, tmp_path: Path) -> Engine:
    return Engine(tmp_path)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ended(activity: Activity, seconds: float = 20) -> Activity:
    """Wait for its final state (I3)."""

    def final() -> bool:
        activity.refresh_from_db()
        return activity.is_final

    wait_for(final, seconds)
    assert activity.outcome
    assert activity.finished_at is not None
    assert not activity.steps.filter(state__in=["pending", "running"]).exists()
    return activity


def check_log(activity: Activity) -> None:
    """I5: numbers and lines without gap."""
    line = 1
    for number, chunk in enumerate(LogChunk.objects.filter(activity=activity), start=1):
        assert (chunk.number, chunk.first_line) == (number, line)
        line += chunk.text.count("\n")


def check_one_writer(engine: Engine, plant: Plant) -> None:
    """I1: at no time were two living processes at work on the runtime."""
    begun: dict[int, str] = {}
    for entry in sorted(engine.runtime.journal(), key=lambda each: each["at"]):
        pid, at = entry["pid"], entry["at"]
        if entry["what"] == "end":
            begun.pop(pid, None)
            continue
        others = {other: verb for other, verb in begun.items() if other != pid and plant.killed.get(other, at + 1) > at}
        assert not others, f"{entry} beside {others}"
        begun[pid] = entry["verb"]


def running(activity: Activity) -> bool:
    return Activity.objects.filter(pk=activity.pk, state=State.RUNNING).exists()
