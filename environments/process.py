"""The one seam to other programs: argument lists, a limit on every call, no prompts, typed errors, group kill."""

import asyncio
import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

Output = Callable[[bytes], None]
_READ = 65536
_TICK = 0.25  # seconds between looks at `should_stop` while a command is silent
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_CAPTURE_LIMIT = 8 * 1024**2

# The kernel kills the child when the thread that started it dies, however it dies.
_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


class ProcessError(Exception):
    """Base: a command did not do what was asked."""


class CommandFailed(ProcessError):
    def __init__(self, argv: Sequence[str], code: int, stderr: str = "") -> None:
        super().__init__(f"{Path(argv[0]).name} ended with {describe_exit(code)}" + (f": {stderr}" if stderr else ""))
        self.code = code
        self.stderr = stderr


class TimedOut(ProcessError):
    """The command ran longer than its total limit, or was silent for longer than its silence limit."""

    def __init__(self, seconds: float, *, silent: bool) -> None:
        what = "printed nothing for" if silent else "ran longer than"
        super().__init__(f"It {what} {seconds:g} seconds and was stopped.")
        self.silent = silent
        self.seconds = seconds


class Stopped(ProcessError):
    """Somebody asked for it: `reason` is what `should_stop` returned."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotInstalled(ProcessError):
    def __init__(self, program: str) -> None:
        super().__init__(f"The program {program} is not installed on this host.")


@dataclass(frozen=True)
class Watch:
    """How a long command is watched. Times in seconds; None means no limit."""

    output: Output
    should_stop: Callable[[], str | None] = lambda: None
    total: float | None = None
    silence: float | None = None


@dataclass(frozen=True)
class Completed:
    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return self.stdout.decode("utf-8", "replace")


def describe_exit(code: int) -> str:
    if code < 0 or code > 128:
        number = -code if code < 0 else code - 128
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(number).name}"
    return f"exit code {code}"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A minimal environment for host programs: nothing of the portal's own secrets is passed on."""
    proxies = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy")
    keep = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", *proxies)
    base = {name: os.environ[name] for name in keep if name in os.environ}
    return base | {"HOME": "/nonexistent", "GIT_TERMINAL_PROMPT": "0"} | dict(extra or {})


def run(
    argv: Sequence[str],
    *,
    timeout: float = 30,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: bytes | None = None,
    check: bool = True,
) -> Completed:
    """Run a short command and return what it printed (at most 8 MiB of each stream).

    Raises CommandFailed (unless `check` is false), TimedOut, NotInstalled.
    """
    process = _popen(argv, env=env, cwd=cwd, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL)
    try:
        stdout, stderr = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.communicate()
        raise TimedOut(timeout, silent=False) from None
    except BaseException:
        kill_group(process.pid)
        raise
    done = Completed(process.returncode, stdout[:_CAPTURE_LIMIT], stderr[:_CAPTURE_LIMIT])
    if check and done.code != 0:
        raise CommandFailed(argv, done.code, done.stderr.decode("utf-8", "replace").strip()[-2000:])
    return done


def stream(
    argv: Sequence[str],
    watch: Watch,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> int:
    """Run a long command, handing its output (stdout and stderr together) to `watch.output` as it comes.

    Returns the exit code. Raises TimedOut, Stopped or NotInstalled; the whole process group is gone by then.
    """
    process = _popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, merge=True, pass_fds=pass_fds)
    assert process.stdout is not None
    try:
        _pump(process.stdout, process, watch)
    except BaseException:
        terminate_group(process)
        raise
    else:
        # Whatever the command left behind in its group goes with it.
        kill_group(process.pid)
        return process.wait()
    finally:
        process.stdout.close()


def _popen(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    stdin: int,
    merge: bool = False,
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes]":
    given = environment() if env is None else dict(env)
    if shutil.which(argv[0], path=given.get("PATH", os.defpath)) is None:
        raise NotInstalled(argv[0])
    try:
        return subprocess.Popen(
            [*_WITH_PARENT, *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            env=given,
            cwd=cwd,
            start_new_session=True,
            pass_fds=tuple(pass_fds),
        )
    except FileNotFoundError as error:
        raise NotInstalled(error.filename or argv[0]) from error


def _pump(source: IO[bytes], process: "subprocess.Popen[bytes]", watch: Watch) -> None:
    """Hand over output until the command itself ends: it may close its output early, or leave it to a grandchild.

    The command stays unreaped, so that its process group can still be signalled without meaning somebody else's.
    """
    started = last = time.monotonic()
    os.set_blocking(source.fileno(), False)
    ended = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            selector.register(ended, selectors.EVENT_READ)
            while True:
                _check(watch, started, last)
                ready = {key.fd for key, _ in selector.select(_TICK)}
                if ended in ready:
                    kill_group(process.pid)  # what it left behind in its group prints no more
                if source.fileno() in ready:
                    data = source.read(_READ)
                    if data:
                        last = time.monotonic()
                        watch.output(data)
                    elif data == b"":
                        selector.unregister(source)
                elif ended in ready:
                    return
    finally:
        os.close(ended)


def _check(watch: Watch, started: float, last: float) -> None:
    reason = watch.should_stop()
    if reason is not None:
        raise Stopped(reason)
    now = time.monotonic()
    if watch.total is not None and now - started > watch.total:
        raise TimedOut(watch.total, silent=False)
    if watch.silence is not None and now - last > watch.silence:
        raise TimedOut(watch.silence, silent=True)


def kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def terminate_group(process: "subprocess.Popen[bytes]") -> None:
    """Ask the group of a command that was not waited for yet to end, then make it."""
    if process.returncode is not None:
        return
    kill_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _GRACE
    while time.monotonic() < deadline and not _has_ended(process.pid):
        time.sleep(0.02)
    kill_group(process.pid)
    process.wait()


def _has_ended(pid: int) -> bool:
    """Whether the child has ended, without reaping it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class Companion:
    """A program that is spoken with in lines. It sees our end as the end of its input, and clears up by itself then."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._argv = argv
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise NotInstalled(error.filename or argv[0]) from error

    def ask(self, line: str, *, timeout: float) -> str:
        """Its next line. Raises CommandFailed when it has ended, TimedOut."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        return self._line(timeout)

    def end(self, *, timeout: float) -> str:
        """Close its input and return its last line, once it has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            return self._line(timeout)
        finally:
            self._wait(timeout)

    def _line(self, timeout: float) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(timeout):
                raise TimedOut(timeout, silent=True)
        line = self._process.stdout.readline().decode().rstrip("\n")
        if not line:
            raise CommandFailed(self._argv, self._process.wait())
        return line

    def _wait(self, timeout: float) -> None:
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.terminate()
        if self._process.stdout is not None:
            self._process.stdout.close()


@contextlib.contextmanager
def reading(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
    """What the command prints, to be read as it comes. Raises CommandFailed at the end when it failed."""
    with tempfile.TemporaryFile() as errors:
        process = _start(argv, env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors)
        assert process.stdout is not None
        try:
            yield process.stdout
        except BaseException:
            kill_group(process.pid)
            process.wait()
            raise
        finally:
            process.stdout.close()
        _ended_well(argv, process, errors)


@contextlib.contextmanager
def writing(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
    """Where the command reads from; it has ended when this ends. Raises CommandFailed when it failed."""
    with tempfile.TemporaryFile() as errors:
        process = _start(argv, env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=errors)
        assert process.stdin is not None
        try:
            yield process.stdin
            process.stdin.close()
        except BrokenPipeError:
            pass  # its exit code and its words say why
        except BaseException:
            kill_group(process.pid)
            process.wait()
            raise
        _ended_well(argv, process, errors)


@contextlib.contextmanager
def running(argv: Sequence[str], log: Path, *, number: int = signal.SIGTERM, patience: float = 60) -> Iterator[None]:
    """A program that runs beside the body and is asked to end, by that signal, when the body has ended."""
    with log.open("ab") as output:
        process = _start(argv, None, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield
    finally:
        kill_group(process.pid, number)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            kill_group(process.pid)
            process.wait()
        kill_group(process.pid)


def _start(argv: Sequence[str], env: Mapping[str, str] | None, **streams: Any) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [*_WITH_PARENT, *argv],
            env=environment() if env is None else dict(env),
            start_new_session=True,
            **streams,
        )
    except FileNotFoundError as error:
        raise NotInstalled(error.filename or argv[0]) from error


def _ended_well(argv: Sequence[str], process: "subprocess.Popen[bytes]", errors: IO[bytes]) -> None:
    code = process.wait()
    kill_group(process.pid)
    if code != 0:
        errors.seek(0)
        raise CommandFailed(argv, code, errors.read(_READ).decode("utf-8", "replace").strip()[-2000:])


def detach(argv: Sequence[str]) -> None:
    """Start a command that goes on after us, and forget it: for clearing up, where being killed midway does no harm."""
    try:
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotInstalled(error.filename or argv[0]) from error


async def spawn(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None, **options: Any
) -> asyncio.subprocess.Process:
    """Start a program with pipes for all three streams, for a caller that pumps them itself."""
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    return await asyncio.create_subprocess_exec(
        *argv,
        env=environment() if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,
        **(pipes | options),
    )
