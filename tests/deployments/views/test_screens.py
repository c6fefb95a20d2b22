"""Every page, looked at: pictures into screenshots/, no complaint in the console, nothing wider than a small phone."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer

from deployments.enums import Kind, State
from environments.models import Variable
from portal.models import Project
from tests import factories as make
from tests.deployments.mail import letters
from tests.deployments.views import scenes
from tests.e2e.screens import FOLDER, Screen, chromium

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def paths(scene: scenes.Scene) -> dict[str, str]:
    project = f"/projects/{scene.project.pk}"
    inactive = f"{project}/environments/old-banner"
    return {
        "projects": "/",
        "project": f"{project}/",
        "project-new": "/projects/new",
        "activities": f"{project}/activities/",
        "environment": f"{project}/environments/staging/",
        "environment-failed": f"{project}/environments/vat-rounding/",
        "environment-inactive": f"{inactive}/",
        "environment-settings": f"{project}/environments/staging/settings",
        "crons": f"{project}/environments/staging/crons",
        "cron": f"{project}/environments/staging/crons/store/cleanup",
        "cron-run": f"{project}/environments/staging/cron-runs/{scene.cron_run.pk}",
        "crons-none": f"{project}/environments/vat-rounding/crons",
        "routes": f"{project}/environments/production/routes",
        "routes-plain": f"{project}/environments/vat-rounding/routes",
        "routes-none": f"{inactive}/routes",
        "settings-production": f"{project}/environments/production/settings",
        "domain-remove": f"{project}/environments/production/domains/www.harbour.example/remove",
        "environment-busy": f"{project}/environments/checkout-redesign/",
        "deactivate": f"{project}/environments/staging/deactivate",
        "delete": f"{inactive}/delete",
        "branch": f"{project}/environments/master/branch",
        "activity-running": f"{project}/activities/{scene.running.pk}/",
        "activity-failed": f"{project}/activities/{scene.failed.pk}/",
        "activity-waiting": f"{project}/activities/{scene.waiting.pk}/",
        "search": "/search?q=a",
        "account": "/account/",
        "missing": "/projects/nothing/",
    }


def look(screen: Screen, pages: dict[str, str], prefix: str = "") -> None:
    screen.take({prefix + name: path for name, path in pages.items()})
    assert screen.overflows(pages) == {}
    assert [trouble for trouble in screen.troubles if "404 (Not Found)" not in trouble] == []


def test_ordinary_pages_look_right(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    look(Screen(chrome, live_server.url, scene.owner), paths(scene))


def test_variables_look_right(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    project = scene.project
    for branch, name, text, flags in (
        ("", "env:STRIPE_KEY", "x", {"is_sensitive": True}),
        ("", "env:LOG_LEVEL", "info", {}),
        ("production", "theme:colours", '{\n  "accent": "#2448c8"\n}', {"is_json": True, "visible_build": True}),
        ("staging", "env:LOG_LEVEL", "debug", {}),
        ("staging", f"env:{'LONG_' * 40}", "wide" * 200, {}),
        ("master", "env:LOG_LEVEL", "", {"is_enabled": False}),
    ):
        environment = project.environments.get(branch=branch) if branch else None
        row = Variable(project=project, environment=environment, name=name, **flags)
        row.text = text
        row.save()
    environments = f"/projects/{project.pk}/environments"
    pages = {
        "variables": f"{environments}/staging/variables",
        "variables-child": f"{environments}/checkout-redesign/variables",
        "variables-project": f"/projects/{project.pk}/variables",
    }
    look(Screen(chrome, live_server.url, scene.owner), pages)


def test_backups_look_right(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    environments = f"/projects/{scene.project.pk}/environments"
    production = scene.project.environments.get(name="production")
    good = make.BackupFactory(environment=production, reason="scheduled", pinned=True, asked_by="Slipway")
    make.BackupFactory(environment=production, proof="", proof_at=None, proof_note="", reason="safety")
    make.BackupFactory(environment=production, proof="failed", proof_note="database has 411 tables, and had 412.")
    make.BackupFactory(environment=production, state="making", at=None, parts=[], release_number=None, proof="")
    make.BackupFactory(environment=production, note="W" * 190, subject="x" * 250)
    pages = {
        "backups": f"{environments}/production/backups/",
        "backups-none": f"{environments}/staging/backups/",
        "backups-inactive": f"{environments}/old-banner/backups/",
        "backup-restore": f"{environments}/production/backups/{good.pk}/restore",
        "backup-delete": f"{environments}/production/backups/{good.pk}/delete",
        "project-backup-alarm": f"/projects/{scene.project.pk}/",
    }
    look(Screen(chrome, live_server.url, scene.owner), pages)


def test_mail_looks_right(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    staging = scene.project.environments.get(name="staging")
    html = "<div style='padding: 24px'><h1>Thank you, Mara</h1><p>Order 1042 is on its way.</p></div>"
    shown = letters.put(staging, letters.letter(html=html, attachment=b"%PDF-1"))
    wide = "<img src='https://tracker.example/x.gif'>" + "wide" * 900
    failed = letters.put(staging, letters.letter("W" * 300, html=wide))
    failed.state, failed.error = failed.State.FAILED, "554 5.7.1 <" + "x" * 300 + "> refused"
    failed.save()
    mail = f"/projects/{scene.project.pk}/environments/staging/mail"
    pages = {
        "mail": f"{mail}/",
        "mail-empty": f"/projects/{scene.project.pk}/environments/master/mail/",
        "mail-html": f"{mail}/{shown.pk}/",
        "mail-text": f"{mail}/{shown.pk}/?show=text",
        "mail-headers": f"{mail}/{shown.pk}/?show=headers",
        "mail-failed": f"{mail}/{failed.pk}/?show=source",
        "mail-delete": f"{mail}/delete",
        "mail-setting": f"/projects/{scene.project.pk}/environments/staging/settings",
    }
    look(Screen(chrome, live_server.url, scene.owner), pages)


def test_pages_hold_very_long_and_hostile_names(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.long_names()
    kept = (
        "projects",
        "project",
        "activities",
        "environment-busy",
        "environment-failed",
        "activity-running",
        "deactivate",
    )
    screen = Screen(chrome, live_server.url, scene.owner)
    look(screen, {name: path for name, path in paths(scene).items() if name in kept}, "long-")


def test_empty_pages_say_what_belongs_there(chrome: Browser, live_server: LiveServer) -> None:
    newcomer = make.UserFactory(name="Jun Kato")
    look(Screen(chrome, live_server.url, newcomer), {"projects": "/", "search": "/search?q=nothing"}, "empty-")
    project = make.ProjectFactory(title="Quiet")
    make.MembershipFactory(project=project, user=newcomer)
    make.tree(project)
    empty = {"project": f"/projects/{project.pk}/", "environment": f"/projects/{project.pk}/environments/master/"}
    look(Screen(chrome, live_server.url, newcomer), empty, "empty-")


def test_a_project_that_could_not_be_created_shows_its_key(chrome: Browser, live_server: LiveServer) -> None:
    owner = make.UserFactory(name="Jun Kato")
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJq7yO0tT3d1V5r2mG1i4Z8m5s7h0n9k2p4q6w8e1r3t slipway-k4wtvm7ogzr5s"
    project = make.ProjectFactory(
        title="Private shop", state=Project.State.FAILED, source=Project.Source.GIT,
        source_name="ssh://git@git.example.com/team/shop.git", deploy_key_public=key,
    )  # fmt: skip
    make.MembershipFactory(project=project, user=owner)
    activity = make.ActivityFactory(
        environment=None, project=project, kind=Kind.PROJECT_CREATE, state=State.FAILED, actor=owner,
        outcome="git.example.com refused the deploy key: Permission denied (publickey).", error_id="clone-denied",
    )  # fmt: skip
    make.write_log(
        activity,
        "Cloning ssh://git@git.example.com/team/shop.git\ngit@git.example.com: Permission denied (publickey).\n",
    )
    look(Screen(chrome, live_server.url, owner), {"project-failed": f"/projects/{project.pk}/"})


def test_strangers_see_the_sign_in_and_nothing_else(chrome: Browser, live_server: LiveServer) -> None:
    make.UserFactory()
    look(Screen(chrome, live_server.url, None), {"login": "/account/login/"})


def test_pages_work_without_javascript(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    screen = Screen(chrome, live_server.url, scene.owner, javascript=False)
    with screen.page(width=390) as page:
        page.goto(f"/projects/{scene.project.pk}/activities/{scene.running.pk}/")
        assert page.locator("#log p").count() == 16
        assert page.get_by_role("link", name="Refresh").is_visible()
        assert not page.locator("[data-log-follow]").is_visible()
        page.locator("label.bar-menu").click()
        page.locator("#side-tree a", has_text="staging").click()
        assert page.locator("h1").inner_text() == "staging"
        page.locator("#more > summary").click()
        page.get_by_role("link", name="Deactivate").click()
        page.get_by_label("Type staging to confirm").fill("wrong")
        page.get_by_role("button", name="Deactivate staging").click()
        assert page.get_by_text("That is not its name").is_visible()
        page.goto("/")
        page.get_by_role("button", name="Switch between light and dark").click()
        assert page.locator("html").get_attribute("data-theme") == "dark"


def test_the_keyboard_reaches_the_search_and_the_drawer(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    screen = Screen(chrome, live_server.url, scene.owner)
    with screen.page() as page:
        page.goto(f"/projects/{scene.project.pk}/")
        page.keyboard.press("/")
        page.keyboard.type("vat")
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?q=vat")
        assert page.get_by_role("link", name="vat-rounding").first.is_visible()
    with screen.page(width=390) as page:
        page.goto(f"/projects/{scene.project.pk}/")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        page.wait_for_timeout(300)
        assert page.locator("#side-tree").is_visible()
        page.screenshot(path=FOLDER / "drawer-phone-light.png")
        page.keyboard.press("Escape")
        page.wait_for_timeout(300)
        assert not page.locator("#side-tree").is_visible()


def test_a_press_of_copy_copies(chrome: Browser, live_server: LiveServer) -> None:
    scene = scenes.ordinary()
    with Screen(chrome, live_server.url, scene.owner).page() as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.goto(f"/projects/{scene.project.pk}/environments/staging/")
        page.get_by_role("button", name="Copy the clone command").click()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("git clone -b staging ssh://git@")
        assert page.locator("#announcer").inner_text() == "Copied"
