"""What names a slug: the same code built in the same way is built once.

The id is `<project>-<app>-<tree>-<configuration>`. The tree is Git's hash of the app's folder without its configuration
files; the configuration is only what can change the result of a build, so that a merge does not rebuild.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from environments.manifest import App

_CONFIG_ID_LENGTH = 16  # hex digits; a collision would need the same project, app and tree as well
_PART = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
_HASH = re.compile(r"[0-9a-f]{16,64}\Z")


def config_id(app: App, build_variables: Mapping[str, Any]) -> str:
    """`build_variables`: those of the project and the environment that a build sees, by name; values are any JSON."""
    seen = {"app": app.build_config(), "variables": dict(build_variables)}
    text = json.dumps(seen, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_CONFIG_ID_LENGTH]


def slug_id(project_id: str, app_name: str, tree_id: str, config_id: str) -> str:
    """Fit for the name of a folder. Raises ValueError for parts that are none of ours."""
    if not (_PART.match(project_id) and _PART.match(app_name) and _HASH.match(tree_id) and _HASH.match(config_id)):
        raise ValueError(f"these do not name a slug: {project_id!r}, {app_name!r}, {tree_id!r}, {config_id!r}")
    return f"{project_id}-{app_name}-{tree_id}-{config_id}"
