"""Measures what environments have on disk. Stands alone: run as `python3 -IS weigh.py ENVIRONMENTS RESULT`.

Slow and gentle: it may look at millions of files. Only one runs at a time. Symlinks are not followed, a file with
several names counts once.
"""

import contextlib
import fcntl
import json
import os
import sys
import time


def main(top: str, result: str) -> None:
    with open(f"{result}.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        found = {}
        for project in _folders(top):
            for environment in _folders(os.path.join(top, project)):
                found[f"{project}/{environment}"] = weigh(os.path.join(top, project, environment))
        with open(f"{result}.new", "w") as file:
            json.dump(found, file)
        os.replace(f"{result}.new", result)


def weigh(folder: str) -> "dict[str, object]":
    mounts, services = os.path.join(folder, "mounts"), os.path.join(folder, "services")
    return {
        "at": time.time(),
        "mounts": {name: size(os.path.join(mounts, name)) for name in _folders(mounts)},
        "services": {name: size(os.path.join(services, name)) for name in _folders(services)},
        "logs": size(os.path.join(folder, "logs")),
    }


def size(folder: str) -> int:
    total, seen, waiting = 0, set(), [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif found.st_nlink > 1:
                        if found.st_ino in seen:
                            continue
                        seen.add(found.st_ino)
                    total += found.st_blocks * 512
    return total


def _folders(path: str) -> "list[str]":
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


if __name__ == "__main__":
    main(*sys.argv[1:3])
