"""Whose data an environment begins with when it is activated: its parent's, or none.

Data comes down, never up, and none leaves Production before it is masked.
"""

from environments import access
from environments.models import Environment
from portal.enums import EnvironmentType
from portal.models import User
from portal.permissions import Permission

_RANK = list(EnvironmentType)


def why_not_of_parent(parent: Environment | None, type: EnvironmentType, *, readable: bool = True) -> str:
    """Why an environment of that type cannot begin with a copy of the parent's data; empty when it can.

    `readable`: whether whoever asks may read that data where it is (Permission.SHELL).
    """
    if parent is None:
        return "There is no environment above it to copy data from."
    if parent.environment_type is EnvironmentType.PRODUCTION:
        return f"The data of {parent.title} leaves it only masked: begin empty."
    if _RANK.index(type) > _RANK.index(parent.environment_type):
        return f"Data only comes down: {parent.title} stands below."
    if not parent.is_active:
        return f"{parent.title} is inactive: it has no data to copy."
    if not readable:
        return f"You may not read the data of {parent.title}: begin empty."
    return ""


def origin(environment: Environment, *, empty: bool, by: User | None) -> int | None:
    """Primary key of the environment whose data is copied on activation; None to begin empty."""
    parent = environment.parent
    if empty or parent is None:
        return None
    readable = by is None or access.can(by, parent, Permission.SHELL)
    return None if why_not_of_parent(parent, environment.environment_type, readable=readable) else parent.pk
