"""A person's own sandbox beside a program: what they find in it, at a real terminal and without one."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from environments.process import Watch
from environments.runtimes.base import Entry, ReleaseSpec

from .apps import FILES, PYTHON
from .make import Maker, drop_to_user
from .test_contract import enter

MOUNTED = PYTHON + "disk: 256\nmounts: {data: {source: local, source_path: d}}\n"


class Terminal:
    def __init__(self, master: int, process: "subprocess.Popen[bytes]") -> None:
        self.master, self.process, self.seen = master, process, ""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, seconds: float = 15) -> str:
        """Read until the text has come; returns all that came since the last call."""
        deadline = time.monotonic() + seconds
        os.set_blocking(self.master, False)
        while text not in self.seen and time.monotonic() < deadline:
            try:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace")
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:
                break
        assert text in self.seen, self.seen
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def terminal(runtime: Any, release: ReleaseSpec, command: str | None = None) -> Iterator[Terminal]:
    inside = runtime.enter(release, "app", Entry(command=command, terminal="xterm", prompt="here> "))
    master, slave = pty.openpty()
    os.fchmod(slave, 0o666)
    argv = [*drop_to_user(), *inside.argv]
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    try:
        yield Terminal(master, process)
    finally:
        process.kill()
        process.wait()
        os.close(master)
        runtime.leave(inside)


def release(local: Any, maker: Maker, app: str = PYTHON, **files: str) -> ReleaseSpec:
    made = maker.release(app, {**FILES, **files}, env={"GIVEN": "x"})
    local.place(made)
    return made


def test_a_shell_has_a_terminal_with_job_control_and_size(local: Any, maker: Maker) -> None:
    with terminal(local, release(local, maker)) as shell:
        first = shell.expect("here> ")
        assert "job control" not in first
        assert "cannot" not in first
        shell.resize(101, 37)
        shell.type("stty size; echo $TERM $GIVEN; pwd\r")
        shell.expect("37 101\r\nxterm x\r\n/app\r\n")
        shell.type("sleep 600 & jobs; echo started; fg\r")
        assert "Running" in shell.expect("\nstarted")
        shell.expect("sleep 600")
        shell.type("\x03")
        shell.type("echo went $((1 + 1))\r")
        shell.expect("went 2\r\n")
        shell.type("exit 5\r")
        assert shell.process.wait(10) == 5


def test_full_screen_programs_work(local: Any, maker: Maker) -> None:
    with terminal(local, release(local, maker, MOUNTED)) as shell:
        shell.expect("here> ")
        shell.type("cd data && vi note\r")
        shell.expect("note")
        time.sleep(0.5)
        shell.type("ihello from vi\x1b:wq\r")
        shell.expect("here> ")
        shell.type("less note\r")
        shell.expect("hello from vi")
        shell.type("q")
        shell.type("\rcat note\r")
        shell.expect("hello from vi")


def test_a_command_at_a_terminal_ends_with_its_exit_code(local: Any, maker: Maker) -> None:
    with terminal(local, release(local, maker), "test -t 0 && test -t 1 && exit 9") as shell:
        assert shell.process.wait(10) == 9


def test_the_own_environment_file_has_the_last_word_and_the_slug_is_read_only(local: Any, maker: Maker) -> None:
    made = release(local, maker, MOUNTED, **{".environment": "export GIVEN=$GIVEN-changed\n"})
    said = enter(local, made, Entry(command="echo $GIVEN; echo kept > data/f; cat data/f; [[ -d /app ]]; touch x"))
    assert said.stdout == b"x-changed\nkept\n"
    assert b"Read-only file system" in said.stderr
    assert said.returncode == 1


def test_copying_tools_are_there(local: Any, maker: Maker) -> None:
    said = enter(local, release(local, maker), Entry(command="command -v scp rsync bash less vi nano"))
    assert said.returncode == 0
    inside = local.enter(release(local, maker, MOUNTED), "app", Entry(files=True))
    argv = [*drop_to_user(), *inside.argv]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(b"\0\0\0\x05\x01\0\0\0\x03")  # SSH_FXP_INIT, version 3
        server.stdin.flush()
        assert server.stdout.read(9)[4:] == b"\x02\0\0\0\x03"
        server.stdin.close()
    local.leave(inside)


def test_a_switch_of_releases_leaves_an_open_shell_as_it_is(local: Any, maker: Maker) -> None:
    first = release(local, maker, MOUNTED)
    local.start(first)
    with terminal(local, first) as shell:
        shell.expect("here> ")
        local.stop(maker.place, 1)
        shell.type("echo still > data/here; cat data/here server.py | head -1; echo $?\r")
        shell.expect("still\r\n0\r\n")
        second = maker.release(MOUNTED, FILES, number=2)
        local.place(second)
        said: list[bytes] = []
        assert local.run(second, "app", "cat data/here", Watch(output=said.append)) == 0
        assert b"".join(said) == b"still\n"
