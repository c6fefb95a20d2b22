"""Resident memory of the idle portal: the proportional set size of all its own processes.

    python -m benchmarks.memory

Pages that processes share are counted once in all (PSS, from /proc/<pid>/smaps_rollup). Environments' programs are
not the portal's and are not counted. Printed after signing in, opening pages, and a minute's rest.
"""

import time
from pathlib import Path

from benchmarks import scratch
from launcher import rpc

AIM = 350.0
REST = 60.0  # seconds
OWN = ("redis", "web", "worker", "ssh", "edge")
_PAGES = ("/", "/projects/new", "/account/", "/search?q=a")


def measure(portal: scratch.Portal) -> None:
    for page in _PAGES * 3:
        portal.owner.get(page)
    time.sleep(REST)
    show(portal, "memory, idle")


def show(portal: scratch.Portal, title: str) -> None:
    found = by_program(portal)
    total = sum(sum(sizes) for sizes in found.values())
    print(f"{title}: {total:.0f} MB in all ({scratch.verdict(total, AIM, 'MB')})")
    for name, sizes in found.items():
        processes = "" if len(sizes) == 1 else f" ({len(sizes)} processes: {', '.join(f'{s:.0f}' for s in sizes)})"
        print(f"  {name:12} {sum(sizes):6.1f} MB{processes}", flush=True)


def by_program(portal: scratch.Portal) -> dict[str, list[float]]:
    """Megabytes of each process, by the program of supervisord that it belongs to."""
    run = portal.instance.home / "run"
    root = int((run / "supervisord.pid").read_text())
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = {"supervisord": [megabytes(root)]}
    for each in rpc.states(run / "supervisor.sock"):
        if each["name"] in OWN:
            found[each["name"]] = [megabytes(pid) for pid in family(each["pid"], children)]
    return found


def family(pid: int, children: dict[int, list[int]]) -> list[int]:
    return [pid, *(each for child in children.get(pid, []) for each in family(child, children))]


def megabytes(pid: int) -> float:
    """Nothing for a process that has just ended, such as a Git command."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    for line in lines:
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    scratch.alone(measure, __doc__)
