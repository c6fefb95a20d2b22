"""A site that is paused and woken while people ask for it: they get the site, or are told to wait. Never an error."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from tests.e2e.ground import FINAL, Ground
from tests.e2e.instance import Loopback, wait_for

pytestmark = pytest.mark.e2e

# As ground.SERVER, with one page that takes its time. It lets as many connect at once as servers usually do: of a queue
# of five, which is Python's default, the kernel resets what comes with more than a little body when a hundred come.
SLOW = """
import http.server, os, pathlib, time

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            time.sleep(3)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(pathlib.Path("version.txt").read_bytes())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

Server(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


class Sleeper:
    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        sql = "SELECT * FROM environments_environment WHERE project_id = ? AND branch = ?"
        row = ground.instance.rows(sql, ground.project, ground.branch)[0]
        self.pk, self.name = row["id"], row["name"]
        self.page = f"/projects/{ground.project}/environments/{self.name}/"
        assert ground.person.get(ground.url).status_code == 200
        self.cookies = {
            each.name: each.value or ""
            for each in ground.person.http.cookies.jar
            if each.name == "slipway_visit" and each.domain in ground.url
        }

    def activities(self, kind: str) -> list[dict[str, str]]:
        sql = "SELECT * FROM deployments_activity WHERE environment_id = ? AND kind = ? ORDER BY sequence"
        return [dict(row) for row in self.ground.instance.rows(sql, self.pk, kind)]

    @property
    def is_paused(self) -> bool:
        sql = "SELECT paused_at FROM environments_environment WHERE id = ?"
        return self.ground.instance.rows(sql, self.pk)[0]["paused_at"] is not None

    def pause(self) -> None:
        answer = self.ground.person.post(f"{self.page}pause")
        assert answer.status_code == 302, answer.text

    def paused(self) -> None:
        self.pause()
        wait_for("the pause", lambda: self.activities("environment.pause")[-1]["state"] in FINAL)
        assert self.activities("environment.pause")[-1]["state"] == "succeeded"
        assert self.is_paused

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(transport=Loopback(), timeout=60, cookies=self.cookies, follow_redirects=True, **options)  # type: ignore[arg-type]

    @contextmanager
    def asked(self, accept: str = "*/*", pause: float = 0.03) -> Iterator[list[int]]:
        """Somebody who asks for the site again and again, each time on a new connection."""
        statuses: list[int] = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.wait(pause):
                with self.client(headers={"Accept": accept}) as visitor:
                    try:
                        statuses.append(visitor.get(self.ground.url).status_code)
                    except httpx.HTTPError as error:
                        statuses.append(-1)
                        raise AssertionError(error) from error

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield statuses
        finally:
            ended.set()
            thread.join()


@pytest.fixture
def sleeper(ground: Ground) -> Sleeper:
    assert ground.push(server=SLOW).row["state"] == "succeeded"
    return Sleeper(ground)


def test_who_asks_all_the_time_never_sees_an_error(sleeper: Sleeper) -> None:
    with sleeper.asked() as programs, sleeper.asked("text/html") as browsers:
        for _ in range(2):
            sleeper.pause()
            wait_for("the pause", lambda: sleeper.activities("environment.pause")[-1]["state"] in FINAL)
            wait_for("the site", lambda: not sleeper.is_paused, 30)
            time.sleep(1)
    assert set(programs) == {200}
    assert set(browsers) <= {200, 503}
    assert browsers[-1] == 200
    assert sleeper.ground.serves() == f"{sleeper.ground.branch} {sleeper.ground.number}"


def test_a_hundred_come_at_once_and_it_is_woken_once(sleeper: Sleeper) -> None:
    sleeper.paused()
    before = len(sleeper.activities("environment.resume"))
    page, form = f"{sleeper.ground.branch} {sleeper.ground.number}", "x" * 100_000
    wrong: list[str] = []

    def visit(number: int) -> None:
        with sleeper.client() as visitor:
            try:
                if number % 10:
                    answer, wanted = visitor.get(sleeper.ground.url), page
                else:
                    answer, wanted = visitor.post(sleeper.ground.url, content=form), form
            except httpx.HTTPError as error:
                wrong.append(f"{number}: {error!r}")
                return
            if answer.text != wanted:
                wrong.append(f"{number}: {[each.status_code for each in answer.history]} {answer} {answer.text[:200]}")

    threads = [threading.Thread(target=visit, args=(number,)) for number in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(sleeper.activities("environment.resume")) == before + 1


def test_a_request_that_runs_is_answered_before_its_program_stops(sleeper: Sleeper) -> None:
    answers: list[int] = []

    def slow() -> None:
        with sleeper.client() as visitor:
            answers.append(visitor.get(f"{sleeper.ground.url}slow").status_code)

    thread = threading.Thread(target=slow)
    thread.start()
    time.sleep(1)
    sleeper.paused()
    thread.join()
    assert answers == [200]


def test_strangers_are_sent_to_the_portal_and_do_not_wake_it(sleeper: Sleeper) -> None:
    sleeper.paused()
    before = len(sleeper.activities("environment.resume"))
    answer = sleeper.ground.instance.get(sleeper.ground.url)
    assert answer.status_code == 302
    assert "/-/visit/start?environment=" in answer.headers["location"]
    assert len(sleeper.activities("environment.resume")) == before
    assert sleeper.is_paused
    # Somebody who is signed in comes through the entrance, which is open.
    assert sleeper.ground.serves() == f"{sleeper.ground.branch} {sleeper.ground.number}"


def test_a_push_to_a_paused_one_wakes_it(sleeper: Sleeper) -> None:
    sleeper.paused()
    after = sleeper.ground.push(server=SLOW)
    assert after.row["state"] == "succeeded", after.output
    assert not sleeper.is_paused
    assert sleeper.ground.serves() == f"{sleeper.ground.branch} {sleeper.ground.number}"


def test_a_paused_one_sleeps_on_after_a_restart_of_everything(sleeper: Sleeper) -> None:
    sleeper.paused()
    sleeper.ground.instance.launcher("stop")
    sleeper.ground.instance.launcher("up", "--detach")
    assert sleeper.is_paused
    assert not any(sleeper.ground.instance.home.glob(f"supervisor/conf.d/e{sleeper.pk}-r*.ini"))
    with sleeper.client() as visitor:
        assert visitor.get(sleeper.ground.url).status_code == 200
    assert not sleeper.is_paused
