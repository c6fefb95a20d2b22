"""What a hook of a stranger can do in its sandbox on this host, and what it cannot."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.manifest import Location, Rule
from environments.process import Watch
from environments.runtimes.local import seccomp
from environments.runtimes.local.nginx.quoting import Unsafe, host, literal, quote, template
from tests.environments.backing.servers import give_away
from tests.environments.runtimes.apps import FILES, PYTHON
from tests.environments.runtimes.conftest import home, local, maker  # noqa: F401
from tests.environments.runtimes.make import HOST, Maker, get

QUIET = Watch(output=lambda _: None)
CANARY = "canary-7f3a9b"


def said(local: Any, release: Any, script: str) -> str:  # noqa: F811
    output: list[bytes] = []
    local.run(release, "app", script, Watch(output=output.append, total=60))
    return b"".join(output).decode("utf-8", "replace")


@pytest.fixture
def release(maker: Maker) -> Any:  # noqa: F811
    return maker.release(PYTHON, FILES, env={"OWN_PASSWORD": "s3cret-of-its-own"})


CALLS = """
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for line in sys.argv[1].split():
    name, number, *arguments = line.split(",")
    ctypes.set_errno(0)
    result = libc.syscall(int(number), *[int(argument, 0) for argument in arguments])
    print(name, result, errno.errorcode.get(ctypes.get_errno(), 0))
"""


def test_calls_that_reach_into_the_kernel_are_refused(local: Any, maker: Maker) -> None:  # noqa: F811
    release = maker.release(PYTHON, {**FILES, "calls.py": CALLS})
    calls = (
        "mount,165,0,0,0,0,0 umount2,166,0,0 ptrace,101,0,0,0,0 unshare,272,0x10000000 setns,308,0,0 keyctl,250,0,0 "
        "add_key,248,0,0,0,0 request_key,249,0,0,0,0 bpf,321,0,0,0 perf_event_open,298,0,0,0,0,0 userfaultfd,323,0 "
        "io_uring_setup,425,1,0 open_by_handle_at,304,0,0,0 pivot_root,155,0,0 chroot,161,0 kexec_load,246,0,0,0,0 "
        "process_vm_readv,310,1,0,0,0,0,0 clone,56,0x10000000,0,0,0,0 fsopen,430,0,0 mount_setattr,442,0,0,0,0,0 "
        "tiocsti,16,0,0x5412,0 move_mount,429,0,0,0,0,0"
    )
    answers = dict(line.split(" ", 1) for line in said(local, release, f"python calls.py '{calls}'").splitlines())
    assert len(answers) == len(calls.split())
    assert {name: answer for name, answer in answers.items() if answer != "-1 EPERM"} == {}
    others = said(
        local, release, "python calls.py 'clone3,435,0,0 x32,0x40000000,0'".replace("0x40000000", "1073741824")
    )
    assert others.split() == ["clone3", "-1", "ENOSYS", "x32", "-1", "ENOSYS"]


def test_threads_and_processes_still_work(local: Any, release: Any) -> None:  # noqa: F811
    script = (
        "python -c \"import threading, subprocess; t = threading.Thread(target=print, args=('thread',));"
        " t.start(); t.join(); subprocess.run(['echo', 'child'])\" && node -e \"console.log('node')\""
    )
    assert said(local, release, script).split() == ["thread", "child", "node"]


def test_the_usual_ways_out_are_closed(local: Any, release: Any) -> None:  # noqa: F811
    for command in (
        "mount -t tmpfs none /tmp",
        "unshare --user --map-root-user true",
        "unshare --mount true",
        "nsenter --target 1 --mount true",
        "chroot / true",
        "echo x > /etc/passwd",
        "echo x > /usr/bin/x",
        "echo x > /x",
        "echo core > /proc/sys/kernel/core_pattern",
        "echo x > /proc/sysrq-trigger",
        "mknod /tmp/d b 8 0",
        "mkdir /sys/fs/cgroup/x",
        "su - root -c true",
    ):
        assert local.run(release, "app", f"( {command} ) >/dev/null 2>&1", QUIET) != 0, command


def test_a_hook_has_no_rights_beyond_its_own(local: Any, release: Any) -> None:  # noqa: F811
    status = said(local, release, "cat /proc/self/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert all(int(fields[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    assert fields["Uid"].split() == ["10000"] * 4


def test_nothing_of_the_portal_can_be_read(
    local: Any,  # noqa: F811
    release: Any,
    maker: Maker,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLIPWAY_SECRET_KEY", CANARY)
    other = Maker(maker.home, maker.key + 5000)
    other_release = other.release(PYTHON + "disk: 128\nmounts: {data: {source: local}}\n", FILES, env={"OTHER": CANARY})
    local.run(other_release, "app", f"echo {CANARY} > data/{CANARY}", QUIET)
    local.place(other_release)
    secrets = maker.home.secrets
    secrets.mkdir(exist_ok=True)
    (secrets / CANARY).write_text(CANARY)
    for path in (secrets, secrets / CANARY):
        give_away(path)
    root = maker.home.root
    look = (
        f"ls {root} {root}/secrets {root}/run {root}/sockets {root}/environments /root /home /var/lib 2>/dev/null; "
        "cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; "
        f"find / -xdev -name '*{CANARY[:6]}*' 2>/dev/null; find / -name '*.sock' 2>/dev/null; "
        f"cat {root}/secrets/* /proc/1/root{root}/secrets/* /proc/self/root{root}/secrets/* 2>/dev/null; "
        "ls /proc/*/root/root 2>/dev/null; cat /proc/1/cmdline | tr '\\0' ' '"
    )
    found = said(local, release, look)
    assert CANARY not in found
    assert "supervisor" not in found
    assert "redis" not in found
    local.remove(other.place)


def test_a_hook_sees_no_process_but_its_own_and_kills_no_other(local: Any, release: Any) -> None:  # noqa: F811
    bystander = subprocess.Popen(["sleep", "67.5"])
    local.place(release)
    local.start(release)
    assert local.probe(release, timeout=20, watch=QUIET).ok
    assert int(said(local, release, "ls -d /proc/[0-9]* | wc -l")) < 8
    said(local, release, "kill -9 -1; kill -9 1; true")
    assert bystander.poll() is None
    assert local.healthy(release)
    bystander.kill()
    bystander.wait()


def test_a_fork_bomb_hurts_only_itself(local: Any, release: Any) -> None:  # noqa: F811
    bomb = "import os, time\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.5)"
    began = time.monotonic()
    with pytest.raises(Exception, match="longer than"):
        local.run(release, "app", f"python -c '{bomb}'", Watch(output=lambda _: None, total=2))
    assert time.monotonic() - began < 15
    assert local.run(release, "app", "true", QUIET) == 0


def test_memory_descriptors_and_file_sizes_have_limits(local: Any, release: Any) -> None:  # noqa: F811
    assert local.run(release, "app", "python -c 'bytearray(4 * 1024**3)'", QUIET) != 0
    many = (
        'import os\ntry:\n  [os.open("/dev/null", 0) for _ in range(10**6)]\nexcept OSError as e:\n  print(e.strerror)'
    )
    assert "Too many open files" in said(local, release, f"python -c '{many}'")
    assert local.run(release, "app", "truncate -s 100G /tmp/big", QUIET) != 0
    assert local.run(release, "app", "head -c 700M /dev/zero > /tmp/big", QUIET) != 0


def test_secrets_never_show_in_the_lists_of_processes(local: Any, release: Any) -> None:  # noqa: F811
    seen: list[str] = []
    pid = os.fork()
    if pid == 0:
        local.run(release, "app", "sleep 1.5", QUIET)
        os._exit(0)
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        seen.append(subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout)
        time.sleep(0.1)
    everything = "".join(seen)
    assert "bwrap" in everything
    assert "s3cret-of-its-own" not in everything


def test_descriptions_of_programs_are_readable_by_nobody_else(local: Any, release: Any, maker: Maker) -> None:  # noqa: F811
    local.place(release)
    found = list(maker.home.environment(maker.place.project_id, maker.place.machine_name).rglob("*.json"))
    assert found
    assert all(path.stat().st_mode & 0o077 == 0 for path in found)
    assert any("s3cret-of-its-own" in path.read_text() for path in found)


def test_a_hundred_megabytes_of_output_pass(local: Any, release: Any) -> None:  # noqa: F811
    assert (
        local.run(release, "app", "head -c 100M /dev/zero | tr '\\0' 'x'", Watch(output=lambda _: None, total=60)) == 0
    )


# -- nginx's configuration ------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """A word as nginx reads it between double quotes (ngx_conf_read_token)."""
    found, index, current = [], 0, ""
    assert text[0] == '"'
    index = 1
    while text[index] != '"':
        if text[index] == "\\" and text[index + 1] in "\"'\\":
            index += 1
        elif text[index] == "\\" and text[index + 1] in "trn":
            current += {"t": "\t", "r": "\r", "n": "\n"}[text[index + 1]]
            index += 2
            continue
        current += text[index]
        index += 1
    found.append(current)
    assert index == len(text) - 1, "something follows the closing quote"
    return found


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_quoted_text_is_one_word_and_comes_back_as_it_was(text: str) -> None:
    assert words(quote(text)) == [text]
    assert words(literal(text)) == [text.replace("$", "${slipway_dollar}")]


@given(st.text())
def test_only_allowed_variables_are_left_in_a_template(text: str) -> None:
    try:
        (word,) = words(template(text, {"1": "$1", "name": "${name}"}))
    except Unsafe:
        return
    for part in word.split("$")[1:]:
        assert part.startswith(("1", "{name}", "{slipway_dollar}"))


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\0b", "\x1b"])
def test_control_characters_cannot_be_quoted(text: str) -> None:
    with pytest.raises(Unsafe):
        quote(text)


@pytest.mark.parametrize("name", ["a b", "a;b", "~^x", "a{", "$host", "*", "*.*.a", "a\n", ""])
def test_only_host_names_are_server_names(name: str) -> None:
    with pytest.raises(Unsafe):
        host(name)


def test_hostile_locations_stay_text(local: Any, maker: Maker) -> None:  # noqa: F811
    app = PYTHON.replace("web: {", "web: {locations: {/: {root: public, passthru: true}}, ")
    evil = '"; } } location / { return 200 pwned; } #'
    release = maker.release(app, {**FILES, 'public/a"b;{c}/x.txt': "odd", "public/plain.txt": "plain"})
    locations = release.programs[0].app.web.locations
    locations["/"] = Location.model_construct(
        **{
            **locations["/"].__dict__,
            "headers": {"X-Evil": evil, "X-Variable": "$host ${request_uri} $", "X-End": "ends with \\"},
            "rules": {
                '\\.(a"b|;{1,2}|#)$': Rule(allow=False),
                "^/never/(?<part>.*)$": Rule.model_construct(
                    **{**Rule().__dict__, "passthru": '/x"; return 200 pwned; #$part$host$2'}
                ),
            },
        }
    )
    locations["/odd"] = Location(root='public/a"b;{c}', passthru=False)
    local.place(release)
    local.start(release)
    probe = local.probe(release, timeout=10, watch=QUIET)
    assert probe.ok, probe.reason
    answer = get(local.front(release), "/plain.txt")
    assert answer.text == "plain"
    assert answer.headers["x-evil"] == evil
    assert answer.headers["x-variable"] == "$host ${request_uri} $"
    assert answer.headers["x-end"] == "ends with \\"
    assert get(local.front(release), "/odd/x.txt").text == "odd"
    passed = json.loads(get(local.front(release), "/never/p").body)
    assert "pwned" not in answer.text
    assert HOST not in passed["path"]


def test_the_filter_is_whole_instructions_and_absent_where_calls_are_unknown() -> None:
    assert len(seccomp.program("x86_64")) % 8 == 0
    assert len(seccomp.program("aarch64")) % 8 == 0
    assert seccomp.program("riscv64") == b""
    assert Path("/usr/bin/bwrap").exists()
