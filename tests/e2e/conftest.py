"""Instances that the end-to-end tests share.

One test process owns what they share, see tests/conftest.py. `instance` is an ordinary one; `rough` has small limits
and is what tests with hostile apps and sudden deaths may ruin.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.ground import Ground, prepare
from tests.e2e.instance import ROOT, Instance, installed, running
from tests.e2e.people import Person, first_owner

LIMITS = {
    "SLIPWAY_SILENCE_TIMEOUT": "8",
    "SLIPWAY_BUILD_TIMEOUT": "25",
    "SLIPWAY_HOOK_TIMEOUT": "25",
    "SLIPWAY_START_TIMEOUT": "6",
    "SLIPWAY_CRON_PATIENCE": "2",
    "SLIPWAY_LEASE": "10",
    "SLIPWAY_HEARTBEAT": "2",
    "SLIPWAY_SWEEP": "2",
    "SLIPWAY_LOG_MAX_BYTES": str(4 * 1024**2),
    "SLIPWAY_BUILD_MEMORY": str(512 * 1024**2),
    "SLIPWAY_APP_MEMORY": str(256 * 1024**2),
    "SLIPWAY_BUILD_DISK": str(64 * 1024**2),
}


@pytest.fixture(scope="session")
def instance() -> Iterator[Instance]:
    with running(installed(ROOT / "var")) as started:
        yield started


@pytest.fixture(autouse=True)
def _sound(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test the doctor looks at the instance that it used."""
    used = [name for name in ("instance", "rough") if name in request.fixturenames]
    started: list[Instance] = [request.getfixturevalue(name) for name in used]
    yield
    for each in started:
        each.check_sound()


@pytest.fixture(scope="session")
def mara(instance: Instance) -> Person:
    return first_owner(instance)


@pytest.fixture(scope="session")
def rough(instance: Instance) -> Iterator[Instance]:
    with running(installed(instance.home), **LIMITS) as started:
        yield started


@pytest.fixture(scope="session")
def rolf(rough: Instance) -> Person:
    return first_owner(rough, "Rolf Ekström")


@pytest.fixture(scope="session")
def ground(rough: Instance, rolf: Person) -> Ground:
    """The small app on a branch; beside it the store runs with its MariaDB and Redis."""
    return prepare(rough, rolf, rolf.new_project("Rough ground", "store"), "ground")
