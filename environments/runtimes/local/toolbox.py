"""What every sandbox of an app has, at build and at run time: the chosen language on its PATH, and its tools."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from environments.manifest import App
from environments.manifest.support import meets, nearest_version
from environments.runtimes.local import languages, php

# Lines of a script keep their numbers: what comes before stands on the first one.
_SOURCE = "if [ -f ./.environment ]; then . ./.environment; fi; "
# Waits for the program that a signal to the group has reached too, instead of dying before it.
_PATIENT = "trap 'exit 143' TERM; "
SCRIPT = "/run/slipway/script"
SENDMAIL = "/run/slipway/bin/sendmail"
_SENDMAIL_PROGRAM = "/run/slipway/sendmail.py"
_BIN = "/run/slipway/bin"
_PATH = (
    "/app/.global/bin",
    "/app/.global/vendor/bin",
    _BIN,
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/sbin",
    "/sbin",
)


@dataclass(frozen=True)
class Version:
    """The version of an app's language that is used here."""

    language: str
    version: str
    warning: str = ""


def choose(app: App) -> Version:
    """The asked version, else the nearest installed one with a warning that names both; "" where there is none."""
    found = nearest_version(app.version, languages.installed().get(app.language, ()))
    if found is None:
        warning = f"{app.language} is not installed on this host: programs in it will not be found."
        return Version(app.language, "", warning)
    if meets(found, app.version):
        return Version(app.language, found)
    warning = f"{app.language} {app.version} is not installed on this host: {app.language} {found} is used instead."
    return Version(app.language, found, warning)


def environment(app: App, version: Version) -> dict[str, str]:
    """What the language needs to be found, and where it keeps what is installed beside the app."""
    env = {
        "PATH": ":".join(_PATH),
        "HOME": "/app",
        "USER": "web",
        "LANG": "C.UTF-8",
        "SHELL": "/bin/sh",
        "TMPDIR": "/tmp",  # noqa: S108 - the sandbox's own
        "PYTHONUSERBASE": "/app/.global",
        "PYTHONUNBUFFERED": "1",
        # Debian forbids installing beside its own packages; here there is nothing to break.
        "PIP_BREAK_SYSTEM_PACKAGES": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "NODE_PATH": "/app/.global/lib/node_modules",
        "GEM_PATH": "/app/.global/gems:/var/lib/gems",
    }
    if version.language == "php":
        env["PHP_INI_SCAN_DIR"] = php.SCAN
    return env


def files(app: App, version: Version, slug: Path) -> dict[str, str]:
    """Files laid into the sandbox, by their path there."""
    found = {f"{_BIN}/{name}": text for name, text in languages.shims(app.language, version.version).items()}
    if version.language == "php" and version.version:
        found |= php.ini_files(app, version.version, slug)
    return found


def sendmail(address: tuple[str, int]) -> dict[str, str]:
    """The program that hands mail over where the environment's is taken, by its paths in the sandbox."""
    host, port = address
    command = f'exec /usr/bin/python3 -IS {_SENDMAIL_PROGRAM} {host}:{port} "$@"'
    program = Path(__file__).with_name("sendmail.py").read_text()
    return {SENDMAIL: f"#!/bin/dash\n{command}\n", _SENDMAIL_PROGRAM: program}


def script(text: str, *, patient: bool = False) -> str:
    """The user's dash script as it is run: their `.environment` has the last word on variables."""
    return (_PATIENT if patient else "") + _SOURCE + text + "\n"


def run_script() -> list[str]:
    return ["/bin/dash", SCRIPT]


def with_script(files: Mapping[str, str], text: str, *, patient: bool = False) -> dict[str, str]:
    return {**files, SCRIPT: script(text, patient=patient)}
