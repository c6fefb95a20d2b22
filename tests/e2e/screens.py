"""Chromium for tests: pages opened as a signed-in person, looked at in both themes and several widths.

Pictures go to screenshots/ at the project's root, which git ignores; a page is done when someone has looked at them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from portal.models import User

# Playwright keeps an event loop in the test's thread; Django then refuses the database there unless told otherwise.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

FOLDER = Path(__file__).resolve().parents[2] / "screenshots"
WIDTHS = {"wide": 1280, "phone": 390}
THEMES = ("light", "dark")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    executable = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Screen:
    """A signed-in person's browser on a running server; `troubles` collects what the console complained about."""

    browser: Browser
    base_url: str
    user: User | None
    javascript: bool = True
    troubles: list[str] = field(default_factory=list)

    @contextmanager
    def page(self, *, width: int = 1280, height: int = 860, theme: str = "light") -> Iterator[Page]:
        context = self.browser.new_context(
            base_url=self.base_url,
            viewport={"width": width, "height": height},
            color_scheme=theme,  # type: ignore[arg-type]
            java_script_enabled=self.javascript,
            reduced_motion="reduce",
        )
        if self.user is not None:
            context.add_cookies([self._sign_in()])
        # The test server is WSGI and would never come to the end of a stream.
        context.route(re.compile(r"/(events|stream)(\?|$)"), lambda route: route.fulfill(status=204))
        page = context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        try:
            yield page
        finally:
            context.close()

    def take(self, pages: Mapping[str, str]) -> None:
        """Pictures of the pages (name -> path) in both themes and widths."""
        FOLDER.mkdir(exist_ok=True)
        for theme, (label, width) in product(THEMES, WIDTHS.items()):
            with self.page(width=width, theme=theme) as page:
                for name, path in pages.items():
                    page.goto(path, wait_until="load")
                    page.screenshot(path=FOLDER / f"{name}-{label}-{theme}.png", full_page=True)

    def overflows(self, pages: Mapping[str, str], *, width: int = 320) -> dict[str, int]:
        """The pages that are wider than the window, and by how many pixels."""
        with self.page(width=width) as page:
            found = {}
            for name, path in pages.items():
                page.goto(path, wait_until="load")
                surplus = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                found[name] = int(page.evaluate(surplus))
        return {name: pixels for name, pixels in found.items() if pixels > 0}

    def _sign_in(self) -> Any:
        client = Client()
        assert self.user is not None
        client.force_login(self.user)
        value = client.cookies[settings.SESSION_COOKIE_NAME].value
        return {"name": settings.SESSION_COOKIE_NAME, "value": value, "url": self.base_url}

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.troubles.append(f"{message.text} ({message.location.get('url', '')})")
