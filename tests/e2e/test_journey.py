"""What the product is for, from the first visit to an open site, in a real browser with real Git."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.e2e.instance import PASSWORD, Instance, installed, running
from tests.e2e.screens import FOLDER, chromium

pytestmark = [pytest.mark.e2e, pytest.mark.browser]
LIVE = 60_000  # milliseconds that a deployment may take on a busy machine


@pytest.fixture(scope="module")
def fresh(instance: Instance) -> Iterator[Instance]:
    """An instance that nobody has visited yet, beside the one of the other tests."""
    with running(installed(instance.home)) as own:
        yield own


@pytest.fixture(scope="module")
def chrome() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def window(chrome: Browser, fresh: Instance) -> Iterator[BrowserContext]:
    context = chrome.new_context(base_url=fresh.url, viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


def complaints(page: Page) -> list[str]:
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


def sign_in(page: Page) -> None:
    page.goto("/account/login/")
    page.get_by_label("E-mail").fill("mara@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Projects")


def picture(page: Page, name: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.screenshot(path=FOLDER / f"{name}-{theme}.png")


def test_from_the_first_visit_to_an_open_site(window: BrowserContext, fresh: Instance) -> None:
    page = window.new_page()
    heard = complaints(page)

    # The first run makes the first owner, who then adds a key.
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Welcome to Slipway")
    page.get_by_label("Name").fill("Mara Okafor")
    page.get_by_label("E-mail").fill("mara@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create the first account").click()
    page.get_by_label("Public key").fill(fresh.key("mara").with_suffix(".pub").read_text())
    page.get_by_role("button", name="Add key").click()
    expect(page.get_by_text("SHA256:")).to_be_visible()

    # A project from a template; the page turns into the project by itself.
    page.goto("/projects/new")
    page.get_by_label("Name").fill("Harbour Coffee")
    page.get_by_role("radio", name=re.compile("Harbour Coffee store")).check()
    page.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("link", name="New branch")).to_be_visible(timeout=LIVE)
    project_id = page.url.rstrip("/").split("/")[-1]
    assert re.fullmatch("[a-z0-9]{13}", project_id)
    expect(page.get_by_text(re.compile(r"v1 is live at")).first).to_be_visible(timeout=LIVE)
    picture(page, "journey-project")

    # A branch is pushed: an inactive environment, whose page shows up in the tree without a reload.
    checkout = fresh.clone(project_id, "journey")
    fresh.git("switch", "-q", "-c", "checkout-redesign", cwd=checkout)
    home = checkout / "templates" / "shop" / "home.php"
    home.write_text(home.read_text().replace("slow mornings", "quick mornings"))
    fresh.git("commit", "-qam", "Promise quick mornings", cwd=checkout)
    pushed = fresh.git("push", "origin", "checkout-redesign", cwd=checkout).stderr
    assert "inactive" in pushed
    tree = page.get_by_role("navigation", name="Project")
    expect(tree.get_by_text("1 inactive branch")).to_be_visible(timeout=LIVE)
    page.goto(f"/projects/{project_id}/environments/checkout-redesign/")

    # Activated, watched to its end without a reload.
    page.locator("#environment_activate").click()
    page.get_by_role("radio", name="Begin empty").check()
    page.get_by_role("button", name="Activate checkout-redesign").click()
    page.wait_for_url("**/activities/*/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Activate")
    url = page.url
    expect(page.get_by_text("Executing deploy hook for application store")).to_be_visible(timeout=LIVE)
    expect(page.get_by_text(re.compile("v1 is live at")).first).to_be_visible(timeout=LIVE)
    assert page.url == url
    numbers = [int(text) for text in page.locator("[id^=L] a").all_inner_texts() if text.strip().isdigit()]
    assert numbers == list(range(1, len(numbers) + 1))
    page.wait_for_load_state()
    picture(page, "journey-activity")

    # The running site, for members only: the portal hands its visitor over.
    page.goto(f"/projects/{project_id}/environments/checkout-redesign/")
    picture(page, "journey-environment")
    link = page.get_by_role("link", name=re.compile(r"^http:..checkout-redesign-")).first.get_attribute("href")
    assert link is not None
    page.goto(link)
    expect(page.get_by_role("heading", level=1)).to_contain_text("quick mornings")
    assert page.url == link
    assert [cookie["name"] for cookie in window.cookies(link) if "portal" in cookie["name"]] == []
    stranger = fresh.get(link)
    assert stranger.status_code == 302
    assert stranger.headers["Location"].startswith(f"{fresh.url}/-/visit/start?")
    assert heard == []


def test_a_failing_hook_is_shown_first_and_the_old_release_serves(window: BrowserContext, fresh: Instance) -> None:
    page = window.new_page()
    sign_in(page)
    page.get_by_role("link", name=re.compile("Harbour Coffee")).first.click()
    project_id = page.url.rstrip("/").split("/")[-1]
    checkout = fresh.work / "journey"
    manifest = checkout / ".platform.app.yaml"
    broken = manifest.read_text().replace(
        "php bin/store migrate", "echo the column vat_rate does not exist && exit 7", 1
    )
    assert broken != manifest.read_text()
    manifest.write_text(broken)
    fresh.git("commit", "-qam", "Break the deploy hook", cwd=checkout)
    pushed = fresh.git("push", "origin", "checkout-redesign", cwd=checkout)
    assert "the column vat_rate does not exist" in pushed.stderr
    page.goto(f"/projects/{project_id}/environments/checkout-redesign/")
    page.get_by_role("link", name=re.compile("pushed")).first.click()
    expect(page.get_by_text(re.compile("v1 (keeps serving|kept serving|goes on serving)")).first).to_be_visible()
    expect(page.get_by_text("the column vat_rate does not exist").first).to_be_visible()
    picture(page, "journey-failed")
    site = fresh.query("Environment.objects.get(name='checkout-redesign').url")
    page.goto(str(site))
    expect(page.get_by_role("heading", level=1)).to_contain_text("quick mornings")


def test_a_change_that_comes_while_the_page_fetches_is_shown_too(window: BrowserContext, fresh: Instance) -> None:
    page = window.new_page()
    sign_in(page)
    page.get_by_role("link", name=re.compile("Harbour Coffee")).first.click()
    checkout = fresh.work / "journey"
    asked: list[str] = []

    def hold(route: Route) -> None:
        """The tree as it was when it was asked for; the first time, another branch is pushed before the page has it."""
        answer = route.fetch()
        asked.append(answer.text())
        if len(asked) == 1:
            fresh.git("push", "-q", "origin", "HEAD:refs/heads/second", cwd=checkout)
            page.wait_for_timeout(1500)  # its event comes, and its delay is over
        route.fulfill(response=answer)

    page.route(re.compile("/side"), hold)
    fresh.git("push", "-q", "origin", "HEAD:refs/heads/first", cwd=checkout)
    tree = page.get_by_role("navigation", name="Project")
    expect(tree.get_by_text("2 inactive branches")).to_be_visible(timeout=LIVE)
    assert "second" not in asked[0]


def test_everything_works_without_javascript(chrome: Browser, fresh: Instance) -> None:
    context = chrome.new_context(base_url=fresh.url, java_script_enabled=False)
    page = context.new_page()
    sign_in(page)
    page.get_by_role("link", name=re.compile("Harbour Coffee")).first.click()
    project = page.url
    page.goto(f"{project}environments/master/")
    page.get_by_role("button", name="Redeploy").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Redeploy")
    for _ in range(60):
        if page.get_by_text(re.compile("v2 is live at")).count():
            break
        page.wait_for_timeout(500)
        page.reload()
    expect(page.get_by_text(re.compile("v2 is live at")).first).to_be_visible()
    page.goto("/account/")
    page.get_by_role("button", name="Sign out").first.click()
    page.goto(project)
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    context.close()


def test_a_phone_reaches_the_environments(chrome: Browser, fresh: Instance) -> None:
    context = chrome.new_context(base_url=fresh.url, viewport={"width": 390, "height": 844}, has_touch=True)
    page = context.new_page()
    sign_in(page)
    page.get_by_role("link", name=re.compile("Harbour Coffee")).first.click()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    FOLDER.mkdir(exist_ok=True)
    page.screenshot(path=FOLDER / "journey-phone.png")
    context.close()
