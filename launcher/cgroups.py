"""A control group for the instance, given to the user that runs it, so that sandboxes can have limits of their own.

Root makes it beside (v1) or below (v2) the launcher's own group. Where that is impossible the instance starts
without: limits then come from prlimit alone."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from launcher.user import RunUser

ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("memory", "pids")
_DELEGATED = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks")


@dataclass(frozen=True)
class Group:
    version: int
    memory: Path
    pids: Path

    @property
    def folders(self) -> list[Path]:
        return [self.memory] if self.memory == self.pids else [self.memory, self.pids]

    @property
    def environ(self) -> dict[str, str]:
        return {
            "SLIPWAY_CGROUP_VERSION": str(self.version),
            "SLIPWAY_CGROUP_MEMORY": str(self.memory),
            "SLIPWAY_CGROUP_PIDS": str(self.pids),
        }

    def enter(self) -> None:
        """Move this process to where the portal's own processes live; needs root."""
        for folder in self.folders:
            (folder / "portal" / "cgroup.procs").write_text("0")


def create(instance: str, user: RunUser, *, root: Path = ROOT, own: str | None = None) -> Group | None:
    """None when not root, or when the kernel or container does not let us."""
    if not user.drop:
        return None
    groups = Path("/proc/self/cgroup").read_text() if own is None else own
    try:
        group = _create_v2(instance, root, groups) if (root / "cgroup.controllers").exists() else None
        group = group or _create_v1(instance, root, groups)
        if group:
            _delegate(group, user)
    except OSError:
        return None
    return group


def find(instance: str, *, root: Path = ROOT, own: str | None = None) -> list[Path]:
    """Every folder of the instance's group that is there, from whatever place it was started."""
    tops = [root] if (root / "cgroup.controllers").exists() else [root / name for name in _CONTROLLERS]
    name = f"slipway-{instance}"
    found: list[Path] = []
    for top in tops:
        for folder, subfolders, _ in os.walk(top):
            if name in subfolders:
                found.append(Path(folder) / name)
                subfolders.remove(name)
    return found


def members(instance: str) -> set[int]:
    pids: set[int] = set()
    for group in find(instance):
        for folder, _, names in os.walk(group):
            if "cgroup.procs" in names:
                with contextlib.suppress(OSError):
                    pids.update(map(int, Path(folder, "cgroup.procs").read_text().split()))
    return pids


def remove(instance: str) -> None:
    """Only empty groups can go; what still has a process stays for the next stop."""
    for group in find(instance):
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _create_v1(instance: str, root: Path, groups: str) -> Group | None:
    parents = {name: path for line in groups.splitlines() for name, path in _v1_line(line)}
    folders: dict[str, Path] = {}
    for controller in _CONTROLLERS:
        top = root / controller
        if controller not in parents or not (top / "cgroup.procs").exists():
            return None
        parent = top / parents[controller].strip("/")
        # Inside a container the path is the host's, and only the top of the mount is there.
        folders[controller] = (parent if parent.is_dir() else top) / f"slipway-{instance}"
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            (folder / "memory.use_hierarchy").write_text("1")
        (folder / "portal").mkdir(exist_ok=True)
    return Group(1, folders["memory"], folders["pids"])


def _v1_line(line: str) -> list[tuple[str, str]]:
    _, controllers, path = line.split(":", 2)
    return [(name, path) for name in controllers.split(",") if name]


def _create_v2(instance: str, root: Path, groups: str) -> Group | None:
    own = next((line[3:] for line in groups.splitlines() if line.startswith("0::")), "/")
    # A group with processes of its own cannot hand controllers down; the top of the tree is the exception.
    for parent in [root / own.strip("/"), root]:
        folder = parent / f"slipway-{instance}"
        try:
            _enable(parent)
            folder.mkdir(exist_ok=True)
            _enable(folder)
            (folder / "portal").mkdir(exist_ok=True)
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        return Group(2, folder, folder)
    return None


def _enable(folder: Path) -> None:
    control = folder / "cgroup.subtree_control"
    if not set(_CONTROLLERS) <= set(control.read_text().split()):
        control.write_text(" ".join(f"+{name}" for name in _CONTROLLERS))


def _delegate(group: Group, user: RunUser) -> None:
    for top in group.folders:
        for folder in (top, top / "portal"):
            os.chown(folder, user.uid, user.gid)
            for name in _DELEGATED:
                if (folder / name).exists():
                    os.chown(folder / name, user.uid, user.gid)
