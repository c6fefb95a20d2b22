"""What a repository needs now and then."""

from pathlib import Path

from environments.repositories.plumbing import LONG, git


def housekeeping(path: Path) -> None:
    """Pack what pushes have left loose, when there is enough of it. Cheap to ask often, and safe beside pushes: what is
    younger than two weeks is kept, reachable or not.
    """
    when = ("-c", "gc.auto=1000", "-c", "gc.autoPackLimit=20", "-c", "gc.autoDetach=false")
    git(path, *when, "gc", "--auto", "--quiet", timeout=4 * LONG)
