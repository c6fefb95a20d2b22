"""Pages of a project with 8 active and 500 inactive environments: queries, and the processor time of each.

    python -m benchmarks.pages

In this process, through Django's own client and the whole middleware, on a SQLite file; beside it the same pages of a
project with its three first environments only.
"""

import gc
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ACTIVE, INACTIVE, VISITS = 8, 500, 40
MOST_QUERIES, AIM = 10, 60.0  # milliseconds


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        _settle(Path(home))
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        small, large = _project(0, 0), _project(ACTIVE - 1, INACTIVE)
        for name, path in _pages().items():
            few, many = _measure(small, path), _measure(large, path)
            queries, p95 = many[0], many[1]
            good = "met" if queries <= MOST_QUERIES and p95 <= AIM else "MISSED"
            print(
                f"pages: {name:20} {queries:2} queries, p95 {p95:5.1f} ms (median {many[2]:.1f}), of a small project "
                f"{few[0]} and {few[1]:.1f} ms, {p95 / few[1]:.1f} times; aim: {MOST_QUERIES} and {AIM:g} ms, {good}",
                flush=True,
            )


def _settle(home: Path) -> None:
    from cryptography.fernet import Fernet

    os.environ |= {
        "SLIPWAY_HOME": str(home),
        "SLIPWAY_SECRET_KEY": "benchmark",
        "SLIPWAY_FIELD_KEYS": Fernet.generate_key().decode(),
        "SLIPWAY_RUNTIME": "fake",
        "DJANGO_SETTINGS_MODULE": "tests.settings",
    }
    import django

    django.setup()


def _project(active: int, inactive: int) -> Any:
    from deployments.models import Release
    from environments.models import Environment
    from portal.enums import ProjectRole
    from tests.factories import ActivityFactory, EnvironmentFactory, MembershipFactory, ReleaseFactory, tree

    member = MembershipFactory(role=ProjectRole.OWNER)
    made = tree(member.project)
    for number in range(active):
        made[f"active-{number}"] = EnvironmentFactory(
            project=member.project, branch=f"active-{number}", parent=made["master"]
        )
    for environment in made.values():
        for number in range(30):
            activity = ActivityFactory(environment=environment, actor=member.user)
            state = Release.State.LIVE if number == 29 else Release.State.RETIRED
            ReleaseFactory(environment=environment, number=number + 1, activity=activity, state=state)
    for number in range(inactive):
        environment = EnvironmentFactory(
            project=member.project,
            branch=f"branch-{number}",
            parent=made["master"],
            status=Environment.Status.INACTIVE,
        )
        ActivityFactory.create_batch(4, environment=environment, actor=member.user)
    return member


def _pages() -> dict[str, Callable[[str], str]]:
    environment = "/projects/{0}/environments/master/"
    return {
        "projects": lambda project: "/",
        "project": "/projects/{0}/".format,
        "environment": environment.format,
        "environment health": f"{environment}health".format,
        "health card": f"{environment}health/card".format,
        "environment settings": f"{environment}settings".format,
        "activities": "/projects/{0}/activities/".format,
        "tree alone": "/projects/{0}/side".format,
    }


def _measure(member: Any, path: Callable[[str], str]) -> tuple[int, float, float]:
    """(queries, p95 in ms, median in ms)"""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(SERVER_NAME="localhost")
    client.force_login(member.user)
    url = path(member.project.pk)
    client.get(url)
    gc.collect()
    gc.freeze()  # as portal/asgi.py does
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(url)
        queries = len(captured)
    assert answer.status_code == 200, f"{url}: {answer.status_code}"
    taken = []
    for _ in range(VISITS):
        began = time.process_time()  # not the clock on the wall: others may keep the machine busy
        client.get(url)
        taken.append((time.process_time() - began) * 1000)
    return queries, statistics.quantiles(taken, n=20)[-1], statistics.median(taken)


if __name__ == "__main__":
    main()
