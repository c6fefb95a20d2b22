"""How an app is built: the commands, in order. Pure; a runtime carries them out in a sandbox with the app at /app."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from environments.manifest import App
from environments.manifest.parts import Dependencies

GLOBAL = "/app/.global"  # where the tools of `dependencies` are, at build and at run time
_COMPOSER = "composer --no-ansi --no-interaction install --no-progress --prefer-dist --optimize-autoloader"
_OPERATOR = re.compile(r"[<>=!~]")


@dataclass(frozen=True)
class Command:
    """One part of a build: either a program with its arguments or, for the user's own hook, a dash script."""

    title: str
    kind: str  # "dependencies", "flavor" or "hook": whose failure it would be
    argv: tuple[str, ...] = ()
    script: str | None = None
    needs: str | None = None  # a program without which it cannot be run
    env: Mapping[str, str] = field(default_factory=dict)


def plan(app: App, files: Collection[str]) -> list[Command]:
    """`files` are the names in the app's folder."""
    commands = [command for manager, wanted in app.dependencies.items() for command in _dependencies(manager, wanted)]
    commands += _flavor(app, files)
    if app.hooks.build:
        commands.append(Command("Running the build hook", "hook", script=app.hooks.build))
    return commands


def cache_environment(folder: str) -> dict[str, str]:
    """Variables that make the package managers keep their downloads below `folder`."""
    return {
        "PLATFORM_CACHE_DIR": folder,
        "XDG_CACHE_HOME": f"{folder}/.xdg",
        "PIP_CACHE_DIR": f"{folder}/.pip",
        "npm_config_cache": f"{folder}/.npm",
        "YARN_CACHE_FOLDER": f"{folder}/.yarn",
        "COMPOSER_CACHE_DIR": f"{folder}/.composer",
    }


def _dependencies(manager: str, wanted: Dependencies) -> list[Command]:
    packages = wanted.packages
    if not packages:
        return []
    title = f"Installing the {manager} tools {', '.join(packages)}"
    if manager == "nodejs":
        names = [f"{name}@{constraint}" for name, constraint in packages.items()]
        argv = ["npm", "install", "--global", "--prefix", GLOBAL, "--no-audit", "--no-fund", "--", *names]
        return [Command(title, "dependencies", tuple(argv), needs="npm")]
    if manager in ("python", "python3"):
        names = [_pip(name, constraint) for name, constraint in packages.items()]
        argv = ["pip", "install", "--user", "--no-input", "--disable-pip-version-check", "--", *names]
        return [Command(title, "dependencies", tuple(argv), needs="python3")]
    if manager == "python2":
        return [Command(title, "dependencies", ("python2", "-m", "pip", "install", "--user"), needs="python2")]
    if manager == "php":
        return _composer(title, wanted)
    return [_gem(name, constraint) for name, constraint in packages.items()]


def _pip(name: str, constraint: str) -> str:
    if constraint == "*":
        return name
    return f"{name}{constraint}" if _OPERATOR.match(constraint) else f"{name}=={constraint}"


def _gem(name: str, constraint: str) -> Command:
    version = [] if constraint == "*" else ["--version", constraint]
    argv = ["gem", "install", "--no-document", "--install-dir", f"{GLOBAL}/gems", "--bindir", f"{GLOBAL}/bin", *version]
    return Command(f"Installing the ruby tool {name}", "dependencies", (*argv, name), needs="gem")


def _composer(title: str, wanted: Dependencies) -> list[Command]:
    env = {"COMPOSER_HOME": GLOBAL}
    base = ("composer", "global", "--no-ansi", "--no-interaction")
    commands = [
        Command(
            f"Adding composer repository {number + 1}",
            "dependencies",
            ("composer", "global", "config", f"repositories.{number}", json.dumps(repository)),
            needs="composer",
            env=env,
        )
        for number, repository in enumerate(wanted.repositories)
    ]
    names = [name if constraint == "*" else f"{name}:{constraint}" for name, constraint in wanted.packages.items()]
    argv = (*base, "require", "--no-progress", "--prefer-dist", "--", *names)
    return [*commands, Command(title, "dependencies", argv, needs="composer", env=env)]


def _flavor(app: App, files: Collection[str]) -> list[Command]:
    flavor = app.build.flavor
    if flavor in ("composer", "drupal", "symfony") and "composer.json" in files:
        return [Command("Installing packages with composer", "flavor", tuple(_COMPOSER.split()), needs="composer")]
    if flavor == "default" and app.language == "nodejs" and "package.json" in files:
        config = ("--userconfig", ".npmrc")
        # Whatever the lock file fixes need not be looked up again.
        fixed = ("--prefer-offline",) if {"package-lock.json", "npm-shrinkwrap.json"} & set(files) else ()
        argv = ("npm", "install", *config, "--no-audit", "--no-fund", "--no-update-notifier", *fixed)
        prune = Command("Removing unused packages", "flavor", ("npm", "prune", *config), needs="npm")
        install = Command("Installing packages with npm", "flavor", argv, needs="npm")
        return [prune, install] if "node_modules" in files else [install]
    return []
