"""The pages of merges and of what leads to them, with a real repository behind them."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from deployments.enums import Kind
from deployments.models import Activity
from environments import drift
from environments.models import Environment
from portal.paths import Home
from tests.deployments.engine import Engine
from tests.e2e.screens import Screen, chromium

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_what_a_merge_brings_is_shown_and_asked_for(
    chrome: Browser, live_server: LiveServer, fake_home: Home, tmp_path: Path
) -> None:
    engine = Engine(tmp_path)
    clean, colliding = engine.branch("clean"), engine.branch("colliding")
    engine.add(clean, {"src/cart.py": "1", ".platform/services.yaml": "db:\n  type: mariadb:10.11\n"}, "Add a database")
    engine.add(colliding, {"serve.py": "print('mine')\n", "src/a": "1"}, "Change serving")
    engine.add(engine.environment, {"serve.py": "print('theirs')\n"}, "Change serving, too")
    removal = {"removal_at": timezone.now() + timedelta(hours=20), "removal_reason": "unused", "lifetime_days": 7}
    Environment.objects.filter(pk=clean.pk).update(**removal)
    drift.refresh_branches(20)
    project = f"/projects/{engine.project.pk}"
    screen = Screen(chrome, live_server.url, engine.by)
    pages = {
        "merge": f"{project}/environments/clean/merge?preview=1",
        "merge-collision": f"{project}/environments/colliding/merge?preview=1",
        "sync": f"{project}/environments/clean/synchronize?preview=1",
        "sync-nothing": f"{project}/environments/master/synchronize?preview=1",
        "activate": f"{project}/environments/clean/activate",
        "environment-leaving": f"{project}/environments/clean/",
        "settings-tree": f"{project}/environments/clean/settings",
        "project-leaving": f"{project}/",
    }
    screen.take(pages)
    assert screen.overflows(pages) == {}
    with screen.page() as page:
        page.goto(f"{live_server.url}{project}/environments/clean/merge")
        page.get_by_role("button", name="Merge into master").click()  # which came after the page
        page.wait_for_url("**/activities/*/")
    assert Activity.objects.filter(kind=Kind.MERGE, source=clean).exists()
    assert screen.troubles == []
