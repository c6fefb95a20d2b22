"""A small app on an instance with small limits, to be mistreated: by its own hooks and by sudden deaths around it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from launcher import home, processes, rpc, stopping, user
from tests.e2e.instance import Instance, Loopback, wait_for
from tests.e2e.people import Person

SERVER = """
import http.server, os, pathlib

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(pathlib.Path("version.txt").read_bytes())

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
START = "exec python3 server.py"
FINAL = ("succeeded", "failed", "cancelled")
# What the hooks of these tests run for ever; no program of other tests has it in its arguments.
FOREVER = f"sleep 7777.{os.getpid()}"


@dataclass
class Attempt:
    """A push and what came of it."""

    ground: "Ground"
    commit: str
    output: str = ""
    pushing: "subprocess.Popen[str] | None" = None

    @property
    def row(self) -> dict[str, Any]:
        sql = "SELECT * FROM deployments_activity WHERE json_extract(parameters, '$.commit') = ?"
        found = self.ground.instance.rows(sql, self.commit)
        return dict(found[0]) if found else {"id": "", "state": "not there yet"}

    @property
    def page(self) -> str:
        return f"/projects/{self.ground.project}/activities/{self.row['id']}/"

    def accepted(self) -> "Attempt":
        """Wait until the push is recorded."""
        wait_for("the push", lambda: self.row["id"], 30)
        return self

    def running_in(self, step: str, seconds: float = 30) -> None:
        sql = "SELECT state FROM deployments_step WHERE activity_id = ? AND name LIKE ? AND state = 'running'"
        wait_for(f"the step {step}", lambda: self.ground.instance.rows(sql, self.row["id"], f"{step}%"), seconds)

    def ended(self, seconds: float = 60) -> dict[str, Any]:
        wait_for("the end of the activity", lambda: self.row["state"] in FINAL, seconds)
        return self.row

    def log(self) -> str:
        return self.ground.person.get(f"{self.page}log.txt").text


@dataclass
class Ground:
    instance: Instance
    person: Person
    project: str
    checkout: Path
    branch: str
    number: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def url(self) -> str:
        sql = "SELECT machine_name FROM environments_environment WHERE project_id = ? AND branch = ?"
        name = self.instance.rows(sql, self.project, self.branch)[0]["machine_name"]
        return f"http://{name}-{self.project}.localhost:{self.instance.port}/"

    def serves(self) -> str:
        """What the site answers: the version that was pushed, see `commit`."""
        answer = self.person.get(self.url)
        return answer.text if answer.status_code == 200 else f"{answer.status_code} {answer.text}"

    def commit(
        self, *, build: str = "", deploy: str = "", start: str = START, server: str = SERVER, more: str = ""
    ) -> Attempt:
        """`more` is added to the app's file."""
        self.number += 1
        hooks = "".join(
            f"    {name}: |\n" + "".join(f"        {line}\n" for line in script.strip().splitlines())
            for name, script in (("build", build), ("deploy", deploy))
            if script
        )
        manifest = f"name: app\ntype: python:3.11\nweb:\n    commands:\n        start: {start}\n"
        files = {
            ".platform.app.yaml": manifest + (f"hooks:\n{hooks}" if hooks else "") + more,
            "server.py": server,
            "version.txt": f"{self.branch} {self.number}",
        }
        sha = self.instance.commit(self.checkout, files, f"Change {self.number}", who=self.person.name)
        attempt = Attempt(self, sha)
        self.attempts.append(attempt)
        return attempt

    def push(self, **change: str) -> Attempt:
        """Commit, push, and wait for the end of the deployment as Git does."""
        attempt = self.begin(**change)
        assert attempt.pushing is not None
        attempt.output = attempt.pushing.communicate(timeout=120)[0]
        assert attempt.pushing.returncode == 0, attempt.output
        return attempt

    def begin(self, **change: str) -> Attempt:
        """Commit and push, without waiting. `pushing` is the running git."""
        attempt = self.commit(**change)
        command = [
            "git",
            "push",
            "-o",
            "environment.status=active",
            "origin",
            f"{attempt.commit}:refs/heads/{self.branch}",
        ]
        attempt.pushing = subprocess.Popen(
            command,
            cwd=self.checkout,
            env=self.instance.git_env(self.person.name),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        return attempt

    def processes(self) -> dict[int, processes.Process]:
        """Everything on this machine that belongs to the instance."""
        layout = home.locate(self.instance.home)
        return {found.pid: found for found in stopping.leftovers(layout, user.existing_run_user())}

    def pid(self, program: str) -> int:
        """The main process of redis, web, worker, ssh or edge; 0 while it does not run."""
        answer = rpc.supervisor(home.locate(self.instance.home).supervisor_socket)
        return int(answer.getProcessInfo(program)["pid"])

    def kill(self, program: str) -> None:
        """SIGKILL its main process, and wait until another one runs."""
        before = self.pid(program)
        os.kill(before, signal.SIGKILL)
        wait_for(f"a new {program}", lambda: self.pid(program) not in (0, before), 30)

    def mentions(self, word: str) -> list[str]:
        """Processes, of anybody, with these words in their arguments."""
        lines = (" ".join(found.arguments) for found in processes.snapshot().values())
        return [line for line in lines if word in line and "git " not in line]

    def is_clean(self) -> None:
        """Nothing of an ended activity is left: no process, no folder of a build."""
        wait_for("the end of every hook", lambda: not self.mentions(FOREVER), 15)
        wait_for("the end of every build's folder", lambda: not list((self.instance.home / "builds").glob("*")), 15)

    @contextmanager
    def visitors(self) -> Iterator[list[str]]:
        """Ask the site again and again meanwhile; what did not answer 200 is collected."""
        troubles: list[str] = []
        answers: list[int] = []
        done = threading.Event()
        assert self.person.get(self.url).status_code == 200

        def ask() -> None:
            with httpx.Client(transport=Loopback(), timeout=10, cookies=self.person.http.cookies) as client:
                while not done.is_set():
                    try:
                        answer = client.get(self.url)
                        answers.append(answer.status_code)
                        if answer.status_code != 200:
                            troubles.append(f"{answer.status_code} {answer.headers.get('location', '')}")
                    except httpx.HTTPError as error:
                        troubles.append(repr(error))
                    time.sleep(0.03)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield troubles
        finally:
            done.set()
            thread.join()
        assert len(answers) > 5


def prepare(instance: Instance, person: Person, project: str, branch: str) -> Ground:
    """A new branch with the small app, deployed once."""
    checkout = instance.clone(project, branch, who=person.name)
    instance.git("rm", "-rq", ".", cwd=checkout, who=person.name)
    ground = Ground(instance, person, project, checkout, branch)
    first = ground.push()
    assert first.row["state"] == "succeeded", first.output
    assert ground.serves() == f"{branch} 1"
    return ground
