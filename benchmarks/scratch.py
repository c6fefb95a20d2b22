"""A running Slipway in a scratch home, for benchmarks: somebody signed in, a project, and what was recorded."""

import argparse
import http.client
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.e2e.instance import ROOT, Instance, installed, running, wait_for
from tests.e2e.people import first_owner

OWNER = "mara"
_POLL = 0.02  # seconds between two requests of somebody who waits for new content


class Portal:
    """The portal as its first owner uses it, and its database to look things up without a page's work."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.owner = first_owner(instance)
        self.rows = instance.rows

    def post(self, path: str, **values: str) -> str:
        """Send a form; returns where it led to."""
        answer = self.owner.post(path, values)
        if answer.status_code != 302:
            raise SystemExit(f"POST {path} was answered with {answer.status_code}:\n{answer.text[:2000]}")
        return str(answer.headers["Location"])

    def cookies(self) -> dict[str, str]:
        """Those of the portal; a visitor's are for their host alone."""
        return {
            each.name: each.value or "" for each in self.owner.http.cookies.jar if each.name.startswith("slipway_p")
        }

    def create_project(self, starter: str) -> str:
        """Returns the project's id once it is there and its Integration environment serves."""
        project = self.owner.new_project(f"Bench {starter}", starter)
        # The activity that creates the project asks for the one that activates Integration.
        wait_for("the first activation", lambda: len(self.activities(project)) > 1 and self.ended(project), 300)
        self.check(project)
        return project

    def operate(self, project: str, environment: str, verb: str) -> str:
        """Press "activate" or "redeploy"; returns the activity's id once it has ended well."""
        place = self.post(f"/projects/{project}/environments/{environment}/{verb}")
        return self.finish(project, place.strip("/").split("/")[-1])

    def finish(self, project: str, activity: str) -> str:
        wait_for(f"activity {activity}", lambda: self.ended(project), 300)
        self.check(project)
        return activity

    def check(self, project: str) -> None:
        newest = self.activities(project)[-1]
        if newest["state"] != "succeeded":
            raise SystemExit(f"The activity {newest['kind']} ended as {newest['state']}: {newest['outcome']}")

    def ended(self, project: str) -> bool:
        return all(row["finished_at"] for row in self.activities(project))

    def activities(self, project: str) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM deployments_activity WHERE project_id = ? ORDER BY sequence", project)

    def steps(self, activity: str) -> list[dict[str, Any]]:
        return self.rows("SELECT * FROM deployments_step WHERE activity_id = ? ORDER BY position", activity)

    def environment(self, project: str, name: str) -> dict[str, Any]:
        found = self.rows("SELECT * FROM environments_environment WHERE project_id = ? AND branch = ?", project, name)
        return found[0]

    def checkout(self, project: str, name: str, files: dict[str, str]) -> Path:
        """A clone of master with nothing but these files, not committed yet."""
        work = self.instance.clone(project, name, who=OWNER)
        self.instance.git("rm", "-rq", ".", cwd=work, who=OWNER)
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        return work

    def visitor(self, project: str, branch: str = "master") -> "Visitor":
        """Somebody who may see the environment, with the cookie that its host gives after the portal's hand-over."""
        environment = self.environment(project, branch)
        name = f"{environment['machine_name']}-{project}.localhost:{self.instance.port}"
        self.owner.get(f"http://{name}/")
        jar = self.owner.http.cookies.jar
        cookie = next(each for each in jar if each.name == "slipway_visit" and each.domain == name.partition(":")[0])
        return Visitor(self.instance.port, {"Host": name, "Cookie": f"{cookie.name}={cookie.value}"})


class Visitor:
    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self.port = port
        self.headers = headers

    def get(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/", headers=self.headers)
            return connection.getresponse().read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def wait_for(self, text: str, seconds: float = 60) -> float:
        """The moment (time.perf_counter) at which an answer with the text in it had arrived."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            if text in self.get():
                return time.perf_counter()
            time.sleep(_POLL)
        raise SystemExit(f"{text} was not served within {seconds:g} seconds")


def seconds(row: dict[str, Any], begin: str = "started_at", end: str = "finished_at") -> float:
    """Between two moments of a row of the database."""
    first, last = (datetime.fromisoformat(row[name]) for name in (begin, end))
    return (last - first).total_seconds()


def print_steps(portal: Portal, activities: Sequence[str]) -> None:
    """Where the time of these activities went: the median of each step, in milliseconds."""
    taken: dict[str, list[float]] = {}
    for activity in activities:
        (row,) = portal.rows("SELECT * FROM deployments_activity WHERE id = ?", activity)
        taken.setdefault("queue", []).append(seconds(row, "created_at", "started_at"))
        for step in portal.steps(activity):
            if step["started_at"] and step["finished_at"]:
                taken.setdefault(step["name"], []).append(seconds(step))
        taken.setdefault("whole activity", []).append(seconds(row))
    parts = [f"{name} {statistics.median(values) * 1000:.0f}" for name, values in taken.items()]
    print(f"  steps (median, ms): {', '.join(parts)}", flush=True)


def verdict(value: float, aim: float, unit: str) -> str:
    return f"aim: at most {aim:g} {unit}, {'met' if value <= aim else 'MISSED'}"


@contextmanager
def portal() -> Iterator[Portal]:
    """An instance of its own. The packages are those of the checkout's instance when that has been started before."""
    with running(installed(ROOT / "var")) as instance:
        yield Portal(instance)


def arguments(description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def alone(measure: Callable[[Portal], None], description: str | None) -> None:
    """Run one benchmark against an instance of its own."""
    arguments(description).parse_args()
    with portal() as started:
        measure(started)
