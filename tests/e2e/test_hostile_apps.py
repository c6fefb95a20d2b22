"""Apps and hooks at their worst: each fails in its owner's terms, nothing of it is left, and the old release serves.

The limits of the instance are small, see conftest.LIMITS.
"""

import json
import os
import re
import signal
import time

import pytest

from tests.e2e.ground import FOREVER, Ground
from tests.e2e.instance import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

# Ignores what asks it to end, and leaves its process group and its session with a second one.
ESCAPES = f"""
trap '' TERM HUP INT
(setsid setsid sh -c "trap '' TERM HUP; {FOREVER}; :" > /dev/null 2>&1 &)
echo hiding
{FOREVER}
"""
FORKS = f"""
b() {{ b | b & }}
b 2> /dev/null
{FOREVER}
"""
ALLOCATES = 'python3 -c "x = [bytearray(8 << 20) for _ in range(10000)]"'
ONE_BIG_FILE = "head -c 200000000 /dev/zero > big"
MANY_FILES = """
i=0; while [ $i -lt 30 ]; do head -c 4000000 /dev/urandom > file$i; i=$((i+1)); done
"""
CASES = {
    "escapes": ({"build": ESCAPES}, "silence-limit", r"build hook.* 8 seconds"),
    "forks": ({"build": FORKS}, "silence-limit|build-memory", r"build hook"),
    "allocates": ({"build": ALLOCATES}, "build-memory", r"out of memory, the limit is 512 MB"),
    "writes one big file": ({"build": ONE_BIG_FILE}, "build-too-big", r"64 MB"),
    "writes many files": ({"build": MANY_FILES}, "build-too-big", r"64 MB"),
    "fails": ({"build": "echo no such thing >&2; exit 3"}, "build-hook-failed", r"build hook failed with exit code 3"),
    "never listens": ({"start": f"exec {FOREVER}"}, "probe-failed", r"(?s)PORT|listen"),
    "exits at once": ({"start": "sh -c 'echo bye; exit 4'"}, "probe-failed", r"exit|end"),
    "fails to deploy": (
        {"deploy": "echo half done; exit 5"},
        "deploy-hook-failed",
        r"deploy hook of app .* exit code 5",
    ),
    "hangs in deploy": ({"deploy": ESCAPES}, "silence-limit", r"8 seconds"),
    "allocates in deploy": ({"deploy": ALLOCATES}, "run-memory", r"256 MB"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_old_release_serves_while_an_app(case: str, ground: Ground) -> None:
    change, error_id, words = CASES[case]
    before = ground.serves()
    with ground.visitors() as troubles:
        attempt = ground.push(**change)
    ended = attempt.row
    assert (ended["state"], ended["fault"]) == ("failed", "user"), attempt.output
    assert re.fullmatch(error_id, ended["error_id"]), ended
    assert re.search(words, ended["outcome"]), ended["outcome"]
    assert re.search(r"v\d+ keeps serving\.\Z", ended["outcome"])
    assert ended["outcome"] in attempt.output
    assert troubles == []
    assert ground.serves() == before
    ground.is_clean()
    page = ground.person.get(attempt.page)
    assert page.status_code == 200
    assert ended["error_id"] in page.text


FLOODS = {
    "100 MB in many lines": 'yes "$(head -c 500 /dev/zero | tr "\\\\0" x)" | head -c 100000000',
    "one line of 10 MB": 'head -c 10000000 /dev/zero | tr "\\\\0" y; echo',
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_capped_and_the_page_stays_quick(flood: str, ground: Ground) -> None:
    attempt = ground.push(build=f"echo before\n{FLOODS[flood]}\necho after")
    assert attempt.row["state"] == "succeeded", attempt.output[-2000:]
    log = attempt.log()
    assert "before" in log
    assert len(log) < 5 * 1024**2
    assert re.search(r"(?i)not (kept|stored|shown)|cut|left out|limit|shortened", log), log[-500:]
    assert "is live at" in attempt.output
    started = time.monotonic()
    assert ground.person.get(attempt.page).status_code == 200
    assert time.monotonic() - started < 20
    assert ground.serves() == f"{ground.branch} {ground.number}"


def test_cancelling_ends_everything_at_once(ground: Ground) -> None:
    before = ground.serves()
    attempt = ground.begin(build=ESCAPES)
    wait_for("the hook", lambda: ground.mentions(FOREVER), 30)
    asked = time.monotonic()
    assert ground.person.post(f"{attempt.page}cancel").status_code == 302
    ended = attempt.ended(20)
    assert time.monotonic() - asked < 10
    assert (ended["state"], ended["error_id"]) == ("cancelled", "")
    assert ended["outcome"].startswith("Cancelled by Rolf Ekström in step")
    assert attempt.pushing is not None
    assert "Cancelled" in attempt.pushing.communicate(timeout=20)[0]
    assert ground.serves() == before
    ground.is_clean()


def test_a_pusher_who_leaves_does_not_stop_the_deployment(ground: Ground) -> None:
    attempt = ground.begin(build="echo begun; sleep 3; echo built")
    attempt.running_in("build")
    assert attempt.pushing is not None
    os.killpg(attempt.pushing.pid, signal.SIGINT)
    attempt.pushing.communicate(timeout=10)
    assert attempt.ended()["state"] == "succeeded"
    assert ground.serves() == f"{ground.branch} {ground.number}"


SNOOP = """
import glob, os, pathlib, socket

def attempt(what, do):
    try:
        got = do()
    except OSError as error:
        got = error.strerror
    print("tried", what, got, flush=True)

for path in PLACES:
    attempt(path, lambda: pathlib.Path(path).read_bytes()[:200])
    attempt(f"list {path}", lambda: os.listdir(path))
for path in SOCKETS:
    def connect():
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        return "REACHED"
    attempt(path, connect)
for path in glob.glob("/proc/[0-9]*"):
    attempt(path, lambda: (pathlib.Path(path, "environ").read_bytes(), pathlib.Path(path, "cmdline").read_bytes()))
print("processes", sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
print("mine", sorted(os.environ))
"""


def test_a_hook_sees_nothing_of_the_portal_and_of_others(ground: Ground) -> None:
    home = ground.instance.home
    secrets = {path.name: path.read_text().strip() for path in (home / "secrets").glob("*.key*") if path.is_file()}
    assert secrets
    other = next((home / "environments").glob("*/*"))
    canary = other / "canary.txt"
    canary.write_text("canary-of-another-environment")
    places = [home, home / "secrets" / "django.key", home / "slipway.sqlite3", home / "run" / "environ.json", canary]
    sockets = ["run/redis.sock", "run/supervisor.sock", "run/web/web.sock", "run/hook.sock"]
    script = SNOOP.replace("PLACES", repr([str(place) for place in places]))
    script = script.replace("SOCKETS", repr([str(home / name) for name in sockets]))
    (ground.checkout / "snoop.py").write_text(script)
    snoop = "python3 snoop.py"
    try:
        attempt = ground.push(build=snoop, deploy=snoop)
    finally:
        canary.unlink()
    assert attempt.row["state"] == "succeeded", attempt.output
    log = attempt.log()
    assert log.count("tried") > 20
    assert "REACHED" not in log
    assert "canary-of" not in log
    assert not [name for name, value in secrets.items() if value in log]
    for line in re.findall(r"^processes (.*)", log, re.MULTILINE):
        assert len(json.loads(line)) < 10
    assert "SLIPWAY_" not in log


CALLS = """
import http.client, socket

for place in PLACES:
    try:
        with socket.create_connection(place, timeout=5):
            print("place", place, "REACHED", flush=True)
    except OSError as error:
        print("place", place, error.strerror, flush=True)
visit = http.client.HTTPConnection(HOST, PORT, timeout=20)
visit.request("GET", "/")
print("own site answers", visit.getresponse().status, flush=True)
"""


def test_a_hook_reaches_its_own_site_and_no_other_port_of_anybody(ground: Ground) -> None:
    """The store's MariaDB and Redis run beside, in another environment of the same project."""
    instance = ground.instance
    if (instance.home / "run" / "network").read_text().startswith("shared"):
        pytest.skip("this host has no networks to give")
    services = instance.rows("SELECT address, port FROM environments_service")
    assert len(services) >= 2
    places = [(row["address"], row["port"]) for row in services]
    places += [("127.0.0.1", instance.ssh_port), ("10.0.2.2", instance.ssh_port), ("169.254.169.254", 80)]
    host = ground.url.removeprefix("http://").partition(":")[0]
    script = CALLS.replace("PLACES", repr(places)).replace("HOST, PORT", repr((host, instance.port))[1:-1])
    (ground.checkout / "calls.py").write_text(script)
    attempt = ground.push(deploy="python3 calls.py")
    assert attempt.row["state"] == "succeeded", attempt.output
    log = attempt.log()
    assert log.count("place ") == len(places)
    assert "REACHED" not in log
    assert re.search(r"own site answers (200|302|303)", log), log


def test_killing_everything_kills_only_oneself(ground: Ground) -> None:
    before = ground.serves()
    alive = {pid: found.started for pid, found in ground.processes().items() if "celery" not in found.arguments}
    attempt = ground.push(build="echo farewell; kill -9 -1; sleep 1; kill -9 $$")
    assert (attempt.row["state"], attempt.row["error_id"]) == ("failed", "build-hook-failed")
    now = ground.processes()
    assert [pid for pid, started in alive.items() if pid not in now or now[pid].started != started] == []
    assert ground.serves() == before
