"""Which languages this host has, and where their programs are."""

import re
import shutil
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from environments import process

_FOLDERS = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/bin")
SEARCH = ":".join(_FOLDERS)
_ASK = {
    "nodejs": (["node", "--version"], r"v(\d+)\."),
    "ruby": (["ruby", "--version"], r"ruby (\d+\.\d+)"),
    "golang": (["go", "version"], r"go(\d+\.\d+)"),
    "java": (["java", "--version"], r"(?:openjdk|java) (\d+)"),
    "dotnet": (["dotnet", "--version"], r"(\d+\.\d+)"),
    "elixir": (["elixir", "--short-version"], r"(\d+\.\d+)"),
    "rust": (["rustc", "--version"], r"rustc (\d+(?:\.\d+)?)"),
}


@lru_cache(maxsize=1)
def installed() -> Mapping[str, tuple[str, ...]]:
    """Versions by language, newest last. Only what is in the folders that sandboxes see."""
    found = {
        "php": _versions_in_names(r"php-fpm(\d+\.\d+)\Z"),
        "python": _versions_in_names(r"python(3\.\d+)\Z"),
    }
    for language, (argv, pattern) in _ASK.items():
        found[language] = _answer(argv, pattern)
    return {language: versions for language, versions in found.items() if versions}


def program(name: str) -> str | None:
    """Full path of a program as sandboxes see it; None when it is not installed."""
    return shutil.which(name, path=SEARCH)


def shims(language: str, version: str) -> dict[str, str]:
    """Scripts that make `python`, `pip` and `php` mean the chosen version, by name."""
    if language == "php":
        return {"php": _exec(f"php{version}")}
    if language == "python":
        python = f"python{version}"
        names = {"python": python, "python3": python, "pip": f"{python} -m pip", "pip3": f"{python} -m pip"}
        return {name: _exec(argv) for name, argv in names.items()}
    # Many build tools are written in Python, whatever the app is.
    return {"python": _exec("python3")}


def _exec(command: str) -> str:
    name, _, rest = command.partition(" ")
    path = program(name) or name
    return f'#!/bin/sh\nexec {path}{" " + rest if rest else ""} "$@"\n'


def _versions_in_names(pattern: str) -> tuple[str, ...]:
    matches = (
        re.match(pattern, entry.name) for folder in map(Path, _FOLDERS) if folder.is_dir() for entry in folder.iterdir()
    )
    return tuple(sorted({match[1] for match in matches if match}, key=_key))


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _answer(argv: list[str], pattern: str) -> tuple[str, ...]:
    path = program(argv[0])
    if path is None:
        return ()
    try:
        match = re.search(pattern, process.run([path, *argv[1:]], timeout=10, check=False).text)
    except process.ProcessError:
        return ()
    return (match[1],) if match else ()
