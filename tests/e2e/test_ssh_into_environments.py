"""The clients that people have (ssh, scp, sftp, rsync, a tunnel) against an environment that really runs."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.instance import Instance, wait_for
from tests.e2e.people import Person

pytestmark = pytest.mark.e2e

MANIFEST = """
name: app
type: python:3.11
disk: 256
mounts: {var/data: {source: local, source_path: data}}
relationships: {cache: "store:redis"}
web: {commands: {start: "exec python3 server.py"}}
"""
SERVER = """
import http.server, os
print("serving", flush=True)
handler = http.server.SimpleHTTPRequestHandler
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), handler).serve_forever()
"""


class Place:
    def __init__(self, instance: Instance, person: Person, project: str) -> None:
        self.instance, self.person, self.project = instance, person, project
        sql = "SELECT * FROM environments_environment WHERE project_id = ? AND branch = 'shells'"
        self.row = dict(instance.rows(sql, project)[0])
        self.user = f"{project}-{self.row['machine_name']}--app"
        self.options = instance.git_env(person.name)["GIT_SSH_COMMAND"].replace("LogLevel=ERROR", "LogLevel=INFO")

    def ssh(self, *command: str, given: bytes = b"", options: str = "") -> "subprocess.CompletedProcess[bytes]":
        argv = [*self.options.split(), *options.split(), f"{self.user}@127.0.0.1", *command]
        return subprocess.run(argv, input=given, capture_output=True, timeout=60)

    def copy(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """scp or sftp: like ssh, with its own option for the port."""
        program, *rest = arguments
        options = self.options.split()[1:]
        options[options.index("-p")] = "-P"
        return subprocess.run([program, *options, *rest], capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def place(instance: Instance, mara: Person) -> Place:
    project = mara.new_project("Shells", "node")
    checkout = instance.clone(project, "shells")
    instance.git("checkout", "-q", "-b", "shells", cwd=checkout)
    for path in [*checkout.rglob("*.yaml"), *checkout.glob(".*.yaml")]:
        path.unlink(missing_ok=True)
    files = {
        ".platform.app.yaml": MANIFEST,
        ".platform/services.yaml": "store: {type: 'redis:7.0'}\n",
        ".platform/routes.yaml": 'https://{default}/: {type: upstream, upstream: "app:http"}\n',
        "server.py": SERVER,
        ".environment": "export OWN=word\n",
    }
    instance.commit(checkout, files, "Begin")
    pushed = instance.git("push", "origin", "shells", "-o", "environment.status=active", cwd=checkout)
    wait_for(
        "the deployment",
        lambda: instance.rows(
            "SELECT 1 FROM deployments_release r JOIN environments_environment e ON e.id = r.environment_id "
            "WHERE e.project_id = ? AND e.branch = 'shells' AND r.state = 'live'",
            project,
        ),
        120,
    )
    assert pushed.returncode == 0
    return Place(instance, mara, project)


def test_a_command_runs_as_the_app_would(place: Place) -> None:
    done = place.ssh("echo $OWN $PLATFORM_BRANCH $PWD; id -un; ls /app; echo beside >&2; exit 3")
    assert done.returncode == 3
    assert done.stdout.startswith(b"word shells /app\nweb\n")
    assert b"server.py" in done.stdout
    assert done.stderr.endswith(b"\nbeside\n")  # ssh itself says that it has a new host key
    assert place.ssh("exec 3<>/dev/tcp/127.0.0.1/$PORT 2>/dev/null && echo reached").stdout == b"reached\n"
    given = os.urandom(5_000_000)
    assert place.ssh("cat", given=given).stdout == given
    assert b"serving" in place.ssh("cat /var/log/app.log").stdout


def test_a_shell_at_a_terminal_has_job_control_and_says_where_one_is(place: Place) -> None:
    done = place.ssh(given=b"stty size\nsleep 100 & jobs\nkill %1\nexit 6\n", options="-tt")
    assert done.returncode == 6
    for text in (b"Shells / shells", b"/app/var/data", b"app@shells", b"Running"):
        assert text in done.stdout, done.stdout
    assert b"no job control" not in done.stdout


def test_what_was_begun_ends_with_its_client(place: Place) -> None:
    mark = f"7{os.getpid()}.5"
    argv = [*place.options.split(), f"{place.user}@127.0.0.1", f"echo in; setsid sleep {mark} & sleep {mark}"]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert client.stdout is not None
    assert client.stdout.readline() == b"in\n"
    wait_for("the programs", lambda: len(running(mark)) >= 2, 10)
    client.kill()
    client.wait()
    wait_for("their end", lambda: not running(mark), 10)
    groups = f"e{place.row['id']}-x*"
    wait_for("the end of their groups", lambda: not [*Path("/sys/fs/cgroup").rglob(groups)], 10)


def running(mark: str) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if (folder / "cmdline").read_bytes().split(b"\0")[:2] == [b"sleep", mark.encode()]:
                    found.append(folder.name)
            except OSError:
                continue
    return found


@pytest.mark.parametrize("legacy", [False, True])
def test_scp_copies_both_ways_and_says_why_it_cannot(place: Place, tmp_path: Path, legacy: bool) -> None:
    options = ["-O"] if legacy else []
    (tmp_path / "up").write_bytes(os.urandom(300_000))
    there = f"{place.user}@127.0.0.1:"
    up = place.copy("scp", *options, str(tmp_path / "up"), f"{there}var/data/copied")
    assert up.returncode == 0, up.stderr
    down = place.copy("scp", *options, f"{there}/app/var/data/copied", str(tmp_path / "down"))
    assert down.returncode == 0, down.stderr
    assert (tmp_path / "up").read_bytes() == (tmp_path / "down").read_bytes()
    refused = place.copy("scp", *options, str(tmp_path / "up"), f"{there}copied")
    assert refused.returncode != 0
    assert "ead-only" in refused.stderr, refused.stderr


def test_sftp_lists_and_puts(place: Place, tmp_path: Path) -> None:
    (tmp_path / "batch").write_text("cd var/data\nput batch here\nls -l here\nget here back\n")
    options = place.options.split()[1:]
    options[options.index("-p")] = "-P"
    argv = ["sftp", *options, "-b", str(tmp_path / "batch"), f"{place.user}@127.0.0.1"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "back").read_text() == (tmp_path / "batch").read_text()


def test_rsync_fills_and_fetches_a_mount(place: Place, tmp_path: Path) -> None:
    for name in ("a", "b/c"):
        (tmp_path / "from" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "from" / name).write_text(name)
    there = f"{place.user}@127.0.0.1:var/data/tree/"
    for arguments in ([f"{tmp_path}/from/", there], [there, f"{tmp_path}/to/"]):
        done = subprocess.run(
            ["rsync", "-a", "-e", place.options, *arguments], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "to" / "b" / "c").read_text() == "b/c"


def test_a_tunnel_leads_to_the_own_service_and_nowhere_else(place: Place) -> None:
    answer = place.ssh(options="-W cache.internal:6379", given=b"PING\r\nQUIT\r\n").stdout
    assert answer.startswith((b"+PONG", b"-NOAUTH"))
    for target in ("127.0.0.1:6379", "169.254.169.254:80", "cache.internal:22", "localhost:22", f"10.0.0.1:{1}"):
        done = place.ssh(options=f"-W {target}")
        assert done.returncode != 0
        assert b"only to the environment's own services" in done.stderr, done.stderr
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    forward = subprocess.Popen(
        [*place.options.split(), "-N", "-L", f"{port}:cache.internal:6379", f"{place.user}@127.0.0.1"]
    )
    try:
        wait_for("the tunnel", lambda: reached(port), 20)
        sql = "SELECT kind FROM deployments_sshsession WHERE environment_id = ?"
        wait_for(
            "its row", lambda: [row["kind"] for row in place.instance.rows(sql, place.row["id"])] == ["tunnel"], 10
        )
        html = place.person.get(f"/projects/{place.project}/environments/{place.row['name']}/").text
        assert "Tunnel in app" in html
    finally:
        forward.terminate()
        forward.wait()
    wait_for("its end", lambda: not place.instance.rows(sql, place.row["id"]), 10)


def reached(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as link:
            link.sendall(b"PING\r\n")
            return link.recv(10).startswith((b"+", b"-"))
    except OSError:
        time.sleep(0.2)
        return False


def test_the_audit_knows_both_ends(place: Place) -> None:
    place.ssh("true --password=hush")
    sql = "SELECT action, details FROM portal_auditevent WHERE action LIKE 'ssh.%' ORDER BY id DESC LIMIT 2"
    wait_for("the end", lambda: place.instance.rows(sql)[0]["action"] == "ssh.close", 10)
    end, begin = place.instance.rows(sql)
    assert begin["action"] == "ssh.open"
    assert "true --password=[secret]" in begin["details"]
    assert '"exit": 0' in end["details"]
