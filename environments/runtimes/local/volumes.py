"""Mounts: folders of the environment that lie, writable, over the read-only app. What is in them belongs to the app,
so no path in or to them is ever followed through a symlink."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from environments.manifest import Mount
from environments.runtimes.base import RuntimeFailure
from environments.runtimes.local.layout import Layout, make_private

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Bound = tuple[Path, str, str]  # volume, folder below it, path below the app


def prepare(layout: Layout, number: int, program: str, app: str, mounts: Mapping[str, Mount]) -> list[Bound]:
    """Make the folders of a program's mounts and say where they are."""
    bound: list[Bound] = []
    for path, mount in sorted(mounts.items()):
        if mount.source == "tmp":
            root, below = layout.release(number) / "tmp" / program, path
        else:
            root, below = kept(layout, app, mount)
        make_private(root)
        make_beneath(root, below)
        bound.append((root, below, path))
    return bound


def kept(layout: Layout, app: str, mount: Mount) -> tuple[Path, str]:
    """(volume, folder below it) of a mount that outlives releases."""
    return layout.volume(app, mount.service if mount.source == "service" else None), mount.source_path


def make_points(slug: Path, paths: Iterable[str]) -> None:
    """Make the places in a slug that mounts are laid over: nothing can be made there once it is read-only."""
    for path in sorted(set(paths)):
        make_beneath(slug, path)


def make_beneath(root: Path, relative: str) -> None:
    """mkdir -p below `root`, through real folders only. Raises RuntimeFailure where something else is in the way."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in (part for part in relative.split("/") if part not in ("", ".")):
            if part == "..":
                raise OSError(0, 'it has ".." in it')
            try:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            except FileNotFoundError:
                os.mkdir(part, 0o755, dir_fd=descriptor)
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except OSError as error:
        reason = "something that is not a folder, or a link, is in its way" if error.errno else error.strerror
        message = f'The mount "{relative}" cannot be made: {reason}. Remove that from the repository or the build.'
        raise RuntimeFailure("mount-blocked", message) from error
    finally:
        os.close(descriptor)
