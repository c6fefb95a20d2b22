"""Which configuration files a tree has."""

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .problems import ManifestError, Problem
from .source import MAX_FILES

Flavour = Literal["platform", "magento"]

EXAMPLE = 'name: app\ntype: "python:3.11"\nweb: {commands: {start: "gunicorn -b 127.0.0.1:$PORT app:app"}}'


@dataclass(frozen=True)
class Files:
    flavour: Flavour
    apps: tuple[str, ...]  # one app each
    applications: str | None  # several apps in one file
    services: str | None
    routes: str | None
    ignored: tuple[str, ...] = ()  # files of the other flavour

    @property
    def folder(self) -> str:
        return f".{self.flavour}"


def discover(paths: Iterable[str]) -> Files:
    """Raises ManifestError when there is no app. With files of both flavours, Magento Cloud's count."""
    found: dict[Flavour, list[str]] = {"platform": [], "magento": []}
    for path in paths:
        for flavour in found:
            name = f".{flavour}.app.yaml"
            if path == name or path.endswith("/" + name) or _is_central(path, flavour):
                found[flavour].append(path)
    chosen: Flavour = "magento" if _has_app(found["magento"], "magento") else "platform"
    if not _has_app(found[chosen], chosen):
        raise _nothing_to_run()
    files = [path for path in found[chosen] if path.endswith(".app.yaml")]
    apps = sorted(files, key=lambda path: (path.count("/"), path))
    if len(apps) > MAX_FILES:
        raise ManifestError([Problem(apps[MAX_FILES], None, "", f"There are more than {MAX_FILES} apps.")])

    def central(name: str) -> str | None:
        path = f".{chosen}/{name}"
        return path if path in found[chosen] else None

    other: Flavour = "platform" if chosen == "magento" else "magento"
    applications, services, routes = (central(name) for name in ("applications.yaml", "services.yaml", "routes.yaml"))
    return Files(chosen, tuple(apps), applications, services, routes, tuple(sorted(found[other])[:MAX_FILES]))


def _is_central(path: str, flavour: str) -> bool:
    folder, name = posixpath.split(path)
    return folder == f".{flavour}" and name in ("applications.yaml", "services.yaml", "routes.yaml")


def _has_app(paths: list[str], flavour: str) -> bool:
    return any(path.endswith((".app.yaml", f".{flavour}/applications.yaml")) for path in paths)


def _nothing_to_run() -> ManifestError:
    message = (
        "There is no file that says what to run. Add .platform.app.yaml to the root of the repository, for example:\n"
        + EXAMPLE
    )
    return ManifestError([Problem(".platform.app.yaml", None, "", message)])
