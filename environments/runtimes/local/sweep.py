"""Empties a folder of thrown-away trees. Stands alone: run as `python3 -IS sweep.py FOLDER`, beside everything else."""

import contextlib
import os
import shutil
import sys


def main(trash: str) -> None:
    os.nice(10)
    for name in os.listdir(trash):
        path = os.path.join(trash, name)
        if os.path.islink(path) or not os.path.isdir(path):
            with contextlib.suppress(OSError):
                os.unlink(path)
            continue
        _unlock(path)
        shutil.rmtree(path, ignore_errors=True)


def _unlock(top: str) -> None:
    """A program may have made folders that even their owner cannot enter."""
    with contextlib.suppress(OSError):
        os.chmod(top, 0o700)
    for folder, folders, _ in os.walk(top):
        for name in folders:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                with contextlib.suppress(OSError):
                    os.chmod(path, 0o700)


if __name__ == "__main__":
    main(sys.argv[1])
