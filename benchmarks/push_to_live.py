"""A one-line change: from `git push` until the new content is served, against a bare post-receive script.

    python -m benchmarks.push_to_live

The other side is a bare repository behind OpenSSH's sshd whose post-receive hook checks the same commit out, runs the
same build, and replaces the process. Both are pushed to by the same git in turns and asked for the page all the while;
what Slipway adds is the difference. Three apps: Python's http.server with a trivial build, the same with only its start
command changed (Slipway reuses the build), and PHP. Slipway is asked through its edge, with a visitor's cookie.
"""

import os
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scratch

ROUNDS = 7
AIM = 1.5

SERVER = """\
import os, socketserver, sys
from http.server import BaseHTTPRequestHandler

page = (open("built.txt").read() + sys.argv[1]).encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
PYTHON = """\
name: app
type: "python:3.11"
hooks:
    build: |
        cp page.txt built.txt
web:
    commands:
        start: python3 server.py word-0
"""
PHP = """\
name: app
type: "php:8.2"
build:
    flavor: none
hooks:
    build: |
        cp page.txt built.txt
web:
    locations:
        "/":
            root: public
            passthru: /index.php
"""
ROUTES = '"http://{default}/":\n    type: upstream\n    upstream: "app:http"\n'

# The files of the app are what both sides are given; $1: the port.
HOOK = """\
#!/bin/sh
set -e
cd {folder}
read old new ref
rm -rf next && mkdir next
git --git-dir=bare.git archive "$new" | tar -x -C next
cd next
sed -n '/build: |/{{n;p}}' .platform.app.yaml | sh -e
start=$(sed -n 's/^ *start: //p' .platform.app.yaml)
cd ..
if [ -e pid ]; then
    kill "$(cat pid)"
    # Gone, or dead and only not yet collected by init, which takes its time on some machines.
    while grep -qs '^State:.[^ZX]' "/proc/$(cat pid)/status"; do sleep 0.01; done
fi
rm -rf live && mv next live
cd live
PORT={port} setsid ${{start:-php -S 127.0.0.1:{port} public/index.php}} </dev/null >../log 2>&1 &
echo $! >../pid
"""


@dataclass(frozen=True)
class App:
    title: str
    files: dict[str, str]
    line: tuple[str, str]  # the file that is changed, and the line; {} is what changes

    def change(self, work: Path, word: str) -> None:
        path, line = self.line
        old = next(text for text in (work / path).read_text().splitlines() if text.startswith(line.split("{}")[0]))
        (work / path).write_text((work / path).read_text().replace(old, line.format(word)))


SERVED = {"server.py": SERVER, "page.txt": "line 0\n", ".platform.app.yaml": PYTHON, ".platform/routes.yaml": ROUTES}
APPS = (
    App("python, trivial build", SERVED, ("page.txt", "line {}")),
    App("python, reused build", SERVED, (".platform.app.yaml", "        start: python3 server.py {}")),
    App(
        "php, trivial build",
        {
            "public/index.php": "<?php\necho file_get_contents(__DIR__ . '/../built.txt');\n",
            "page.txt": "line 0\n",
            ".platform.app.yaml": PHP,
            ".platform/routes.yaml": ROUTES,
        },
        ("page.txt", "line {}"),
    ),
)


def measure(portal: scratch.Portal) -> None:
    project = portal.create_project("node")
    with bare(portal) as other:
        for number, app in enumerate(APPS):
            compare(portal, project, app, other, f"push-{number}")


def compare(portal: scratch.Portal, project: str, app: App, other: "Bare", name: str) -> None:
    ours = portal.checkout(project, name, app.files)
    theirs = portal.instance.work / f"{name}-bare"
    shutil.copytree(ours, theirs)
    subprocess.run(["git", "remote", "set-url", "origin", other.url], cwd=theirs, check=True)
    visitor, neighbour = portal.visitor(project), scratch.Visitor(other.port, {})
    sides = {"ours": (ours, portal.instance.git_env(scratch.OWNER), visitor), "bare": (theirs, other.env, neighbour)}
    taken: dict[str, list[float]] = {"ours": [], "bare": []}
    activities = []
    for number in range(-1, ROUNDS):  # the first only brings the files there
        for side in ("ours", "bare") if number % 2 else ("bare", "ours"):
            work, env, asker = sides[side]
            word = f"word-{number + 2}-{name}"
            app.change(work, word)
            spent = push(work, env, asker, word, refspec="+HEAD:master" if number < 0 else "HEAD:master")
            if number >= 0:
                taken[side].append(spent)
        if number >= 0:
            activities.append(portal.activities(project)[-1]["id"])
    mine, bare_time = (statistics.median(taken[side]) for side in ("ours", "bare"))
    added = statistics.median(a - b for a, b in zip(taken["ours"], taken["bare"], strict=True))
    print(f"push to live, {app.title}: {mine:.2f} s against {bare_time:.2f} s bare, ", end="")
    print(f"{added:.2f} s on top ({scratch.verdict(added, AIM, 's')})", flush=True)
    scratch.print_steps(portal, activities)


def push(work: Path, env: dict[str, str], asker: scratch.Visitor, word: str, *, refspec: str) -> float:
    """Seconds until the word is served. Comes back once git has ended too."""
    subprocess.run(["git", "add", "-A"], cwd=work, env=env, check=True)
    subprocess.run(["git", "commit", "-q", "-m", word], cwd=work, env=env, check=True)
    with ThreadPoolExecutor(1) as pool:
        began = time.perf_counter()
        served = pool.submit(asker.wait_for, word)
        pushed = subprocess.run(
            ["git", "push", "-q", "origin", refspec], cwd=work, env=env, capture_output=True, check=False
        )
        if pushed.returncode:
            raise SystemExit(f"git push failed: {pushed.stderr.decode(errors='replace')}")
        return served.result() - began


@dataclass(frozen=True)
class Bare:
    url: str
    port: int
    env: dict[str, str]


@contextmanager
def bare(portal: scratch.Portal) -> Iterator[Bare]:
    """sshd, a bare repository, its hook; and the end of the app that the hook has started."""
    folder = portal.instance.work / "bare"
    folder.mkdir()
    subprocess.run(["git", "init", "-q", "--bare", "bare.git"], cwd=folder, check=True)
    port, app_port = free_port(), free_port()
    hook = folder / "bare.git" / "hooks" / "post-receive"
    hook.write_text(HOOK.format(folder=folder, port=app_port))
    hook.chmod(0o755)
    with sshd(portal, folder, port):
        user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        try:
            env = portal.instance.git_env(scratch.OWNER)
            env["GIT_SSH_COMMAND"] = env["GIT_SSH_COMMAND"].replace(f"-p {portal.instance.ssh_port} ", f"-p {port} ")
            yield Bare(f"ssh://{user}@127.0.0.1:{port}{folder}/bare.git", app_port, env)
        finally:
            if (folder / "pid").exists():
                os.kill(int((folder / "pid").read_text()), 15)


@contextmanager
def sshd(portal: scratch.Portal, folder: Path, port: int) -> Iterator[None]:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")], check=True)
    shutil.copy(portal.instance.work / "keys" / f"{scratch.OWNER}.pub", folder / "authorized_keys")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "yes",
        "PidFile": "none",
        "LogLevel": "QUIET",
        "SetEnv": f"HOME={folder}",  # what this account's shell does at its start is not the script's fault
    }
    configuration = folder / "sshd_config"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    process = subprocess.Popen([shutil.which("sshd") or "/usr/sbin/sshd", "-D", "-f", str(configuration)])
    try:
        scratch.wait_for("sshd", lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
        yield
    finally:
        process.terminate()
        process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    scratch.alone(measure, __doc__)
