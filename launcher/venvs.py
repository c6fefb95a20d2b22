"""Virtual environments below the home, one per content of a requirements file."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from launcher import progress
from launcher.errors import Refused

GIVEN = "SLIPWAY_PYTHON"
"""Names an interpreter that has every requirement already, as in a container image."""


def ensure(folder: Path, requirements: Path, python: str, env: Mapping[str, str]) -> Path:
    """The interpreter of the environment that has exactly these requirements; builds it when there is none yet.

    A stamp is written last, so an environment that was cut off in the middle is built again from nothing."""
    if given := os.environ.get(GIVEN):
        return Path(given)
    place = folder / _key(requirements, python)
    stamp = place / "complete"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _build(place, requirements, python, env)
        stamp.touch()
    return place / "bin" / "python"


def find(folder: Path, requirements: Path, python: str) -> Path | None:
    if given := os.environ.get(GIVEN):
        return Path(given)
    place = folder / _key(requirements, python)
    return place / "bin" / "python" if (place / "complete").exists() else None


def _key(requirements: Path, python: str) -> str:
    content = requirements.read_bytes() + python.encode() + str(os.stat(python).st_mtime_ns).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def _build(place: Path, requirements: Path, python: str, env: Mapping[str, str]) -> None:
    count = len(re.findall(r"^[A-Za-z0-9].*==", requirements.read_text(), re.MULTILINE))
    progress.line(f"Installing {count} Python packages")
    place.parent.mkdir(parents=True, exist_ok=True)
    _run([python, "-m", "venv", str(place)], env, "the virtual environment cannot be made")
    # Byte code is written where it is first needed (PYTHONPYCACHEPREFIX); compiling all of it here costs seconds.
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--no-compile"]
    options = [
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--require-hashes",
        "--requirement",
    ]
    _run([*pip, *options, str(requirements)], env, "the Python packages cannot be installed")


def _run(command: list[str], env: Mapping[str, str], failure: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, env=env, cwd="/", check=False)
    if result.returncode == 0:
        return
    lines = [text.strip() for text in (result.stdout + result.stderr).splitlines() if text.strip()]
    errors = [text for text in lines if text.startswith("ERROR")]
    reason = (errors or lines or ["no output"])[0 if errors else -1].removeprefix("ERROR: ")
    if any("No space left on device" in text for text in lines):
        reason = "no space left on the disk; free some and run the command again"
    raise Refused(f"{failure}: {reason}")
