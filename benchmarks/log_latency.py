"""From a line that a build hook prints to the page: how long until somebody who watches sees it.

    python -m benchmarks.log_latency

A build hook prints the time, again and again at uneven distances. Chromium has the activity's page open and notes when
each line stands in it; clients of the same event stream note when they were sent it. Once with one watcher, once with
as many as one person may have (50): Chromium among them.
"""

import asyncio
import os
import random
import re
import statistics
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks import scratch

AIM = 300.0
LINES = 120
VIEWERS = 50
_MARK = re.compile(rb"tick (\d+\.\d+)")

TICK = """\
import random, time
time.sleep({before})
for _ in range({lines}):
    print(f"tick {{time.time():.6f}}", flush=True)
    time.sleep(random.uniform(0.02, 0.18))
"""
APP = """\
name: app
type: "python:3.11"
hooks:
    build: |
        python3 tick.py
web:
    commands:
        start: python3 -m http.server --bind 127.0.0.1 $PORT
"""
ROUTES = '"http://{default}/":\n    type: upstream\n    upstream: "app:http"\n'

# Runs in the page: Date.now() at which each line had become part of it.
WATCH = """
() => {
  window.seen = {};
  const look = () => {
    for (const line of document.querySelectorAll('#log .t')) {
      const found = /tick (\\d+\\.\\d+)/.exec(line.textContent);
      if (found && !(found[1] in window.seen)) window.seen[found[1]] = Date.now() / 1000;
    }
  };
  look();
  for (const known of Object.keys(window.seen)) window.seen[known] = null;  // came with the page
  new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
}
"""


def measure(portal: scratch.Portal) -> None:
    project = portal.create_project("node")
    files = {"tick.py": "", ".platform.app.yaml": APP, ".platform/routes.yaml": ROUTES}
    work = portal.checkout(project, "latency", files)
    for viewers in (1, VIEWERS):
        in_page, sent = watched(portal, project, work, viewers)
        show(f"log line to page, {viewers} watching", in_page, AIM)
        if sent:
            show(f"log line to stream, {viewers - 1} clients", sent, AIM)


def watched(portal: scratch.Portal, project: str, work: Path, viewers: int) -> tuple[list[float], list[float]]:
    """Seconds from each line's print to the page, and to each of the other viewers."""
    begin_push(portal, work)
    known = len(portal.activities(project))
    scratch.wait_for("the push", lambda: len(portal.activities(project)) > known)
    activity = portal.activities(project)[-1]["id"]
    path = f"/projects/{project}/activities/{activity}/"
    others = Streams(portal, f"{path}stream?after=0", viewers - 1)
    others.start()
    with sync_playwright() as playwright:
        program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(base_url=portal.instance.url, viewport={"width": 1280, "height": 860})
        cookies = [{"name": n, "value": v, "url": portal.instance.url} for n, v in portal.cookies().items()]
        context.add_cookies(cookies)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(path, wait_until="load")
        page.evaluate(WATCH)
        scratch.wait_for("the activity", lambda: portal.ended(project), 120)
        page.wait_for_timeout(500)
        seen = page.evaluate("window.seen")
        browser.close()
    others.join()
    portal.check(project)
    found = [at - float(line) for line, at in seen.items() if at is not None]
    if len(found) < LINES * 0.9:
        raise SystemExit(f"only {len(found)} of {LINES} lines were seen in the page")
    return found, others.delays


def begin_push(portal: scratch.Portal, work: Path) -> None:
    """Another number each time, so that the build is not reused; time to open the page before the first line."""
    program = TICK.format(before=10, lines=LINES) + f"# {random.random()}\n"
    portal.instance.commit(work, {"tick.py": program}, "Tick", who=scratch.OWNER)
    push = ("push", "-q", "origin", "HEAD:master")
    threading.Thread(target=portal.instance.git, args=push, kwargs={"cwd": work, "who": scratch.OWNER}).start()


class Streams(threading.Thread):
    """Plain clients of the event stream, cheap enough that they do not slow the machine down that they measure."""

    def __init__(self, portal: scratch.Portal, path: str, count: int) -> None:
        super().__init__()
        self._port = portal.instance.port
        cookie = "; ".join(f"{name}={value}" for name, value in portal.cookies().items())
        self._request = f"GET {path} HTTP/1.0\r\nHost: localhost:{self._port}\r\nCookie: {cookie}\r\n\r\n".encode()
        self._count = count
        self.delays: list[float] = []

    def run(self) -> None:
        asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(self._count)))

    async def _one(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(self._request)
        try:
            while line := await reader.readline():
                now = time.time()
                self.delays += [now - float(stamp) for stamp in _MARK.findall(line)]
        finally:
            writer.close()


def show(title: str, delays: list[float], aim: float) -> None:
    cuts = [cut * 1000 for cut in statistics.quantiles(delays, n=100)]
    worst = max(delays) * 1000
    print(f"{title}: p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f} ms, most {worst:.0f} ms ", end="")
    print(f"({scratch.verdict(cuts[94], aim, 'ms')})", flush=True)


if __name__ == "__main__":
    scratch.alone(measure, __doc__)
