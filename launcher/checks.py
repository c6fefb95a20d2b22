"""`./slipway test`: every check of the project, or pytest with the arguments given."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher import home, keys, packages, progress, venvs
from launcher.home import Layout
from launcher.user import run_user


def run(checkout: Path, requested: Path, arguments: Sequence[str]) -> int:
    """0 when all of it passes; else the first failing check's exit code, after all of them had their turn."""
    packages.ensure([*packages.RUN, *packages.TEST])
    user = run_user()
    layout = home.settle(requested, user)
    python = Path(user.call(_environment, layout, (checkout / "requirements-dev.txt").read_bytes()))
    environ = {**os.environ, "PATH": f"{python.parent}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"}
    if arguments:
        return _pytest(checkout, python, environ, arguments)
    results = _run_checks(checkout, python, environ)
    tests = _pytest(checkout, python, environ, ["-n", "2", "--dist", "loadgroup"])
    failed = [name for name, result in results.items() if result != 0]
    if failed:
        progress.error(f"{', '.join(failed)} failed before the tests; what they said is above")
    return next((result for result in (*results.values(), tests) if result != 0), 0)


def _run_checks(checkout: Path, python: Path, environ: Mapping[str, str]) -> dict[str, int]:
    """Some of them load the settings, which want a home with secrets; they get one that nothing else uses."""
    scratch = Path(tempfile.mkdtemp(prefix="slipway-check-"))
    try:
        layout = Layout(scratch, scratch)
        layout.make()
        keys.ensure(layout)
        own = {**environ, "SLIPWAY_HOME": str(scratch), "PYTHONDONTWRITEBYTECODE": "1"}
        return {name: _check(name, command, checkout, own) for name, command in _checks(python)}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _environment(layout: Layout, requirements: bytes) -> str:
    layout.make()
    pinned = layout.cache / "requirements-dev.txt"  # the checkout may be out of this user's reach
    pinned.write_bytes(requirements)
    scratch = str(layout.cache)
    environ = {**os.environ, "HOME": scratch, "PYTHONPYCACHEPREFIX": f"{scratch}/pycache"}
    return str(venvs.ensure(layout.root / "venv-dev", pinned, packages.system_python(), environ))


def _checks(python: Path) -> list[tuple[str, list[str]]]:
    tools = python.parent
    return [
        ("ruff", [str(tools / "ruff"), "check", "--no-cache", ".", "slipway"]),
        ("mypy", [str(tools / "mypy"), "--cache-dir", os.devnull]),
        ("import-linter", [str(tools / "lint-imports"), "--no-cache"]),
        ("migrations", [str(python), "manage.py", "makemigrations", "--check", "--dry-run"]),
    ]


def _check(name: str, command: Sequence[str], checkout: Path, environ: Mapping[str, str]) -> int:
    began = time.monotonic()
    result = subprocess.run(
        command,
        cwd=checkout,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if result.returncode == 0:
        progress.line(f"{name}: clean ({seconds:.1f} s)")
        return 0
    progress.plain(result.stdout.rstrip())
    progress.line(f"{name}: FAILED ({seconds:.1f} s)")
    return result.returncode if result.returncode > 0 else 1


def _pytest(checkout: Path, python: Path, environ: Mapping[str, str], arguments: Sequence[str]) -> int:
    """On the terminal itself, so that its progress shows and its summary stays the last line."""
    command = [str(python), "-m", "pytest", *arguments]
    ended = subprocess.run(command, cwd=checkout, env=environ, check=False).returncode
    return ended if ended >= 0 else 128 - ended
