"""Shared by all tests."""

from typing import Any

import pytest

RUNNING_INSTANCES = "tests/e2e/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadgroup`, whatever drives a running instance goes to one process, and the rest anywhere.

    pytest-xdist's own groups, by mark, are lost with pytest 9.2, whose node ids cannot be given a suffix.
    """
    from xdist.scheduler import LoadGroupScheduling  # here, because tests run without this plugin too

    class OneProcessForRunningInstances(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return RUNNING_INSTANCES if nodeid.startswith(RUNNING_INSTANCES) else nodeid

    if config.getvalue("dist") != "loadgroup":
        return None
    return OneProcessForRunningInstances(config, log)
