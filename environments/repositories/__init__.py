"""A project's Git repository on disk: bare, configured by us, read with GitPython and Git's plumbing."""

from environments.repositories.differing import Counted, counted, sizes, texts, unified
from environments.repositories.history import Commit, commits, count_between, is_ancestor, types
from environments.repositories.making import commit_change, configure, create_from_folder, init, replace
from environments.repositories.merging import (
    MAX_REBASED,
    Collision,
    Joined,
    Person,
    Rebased,
    changes,
    held_elsewhere,
    join,
    merge_base,
    move,
    rebase,
    write_commit,
)
from environments.repositories.plumbing import ZERO, check_sha, command, environment
from environments.repositories.refs import (
    branches,
    create_branch,
    delete_branch,
    head,
    hold,
    refs,
    update_refs,
)
from environments.repositories.trees import CONFIG_NAMES, TreeSource, export, tree_id
from environments.repositories.upkeep import housekeeping

__all__ = [
    "CONFIG_NAMES",
    "MAX_REBASED",
    "ZERO",
    "Collision",
    "Commit",
    "Counted",
    "Joined",
    "Person",
    "Rebased",
    "TreeSource",
    "branches",
    "changes",
    "check_sha",
    "command",
    "commit_change",
    "commits",
    "configure",
    "count_between",
    "counted",
    "create_branch",
    "create_from_folder",
    "delete_branch",
    "environment",
    "export",
    "head",
    "held_elsewhere",
    "hold",
    "housekeeping",
    "init",
    "is_ancestor",
    "join",
    "merge_base",
    "move",
    "rebase",
    "refs",
    "replace",
    "sizes",
    "texts",
    "tree_id",
    "types",
    "unified",
    "update_refs",
    "write_commit",
]
