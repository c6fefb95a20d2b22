"""What a pusher asks for with `git push -o key=value`. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from portal.enums import EnvironmentType

_TYPES = {
    "development": EnvironmentType.INTEGRATION,
    "integration": EnvironmentType.INTEGRATION,
    "staging": EnvironmentType.STAGING,
}
# Understood by clients of the hosted original, without a meaning here (yet).
_IGNORED = ("resources.init", "deploy.strategy")
_KNOWN = (
    "environment.status",
    "environment.title",
    "environment.parent",
    "environment.type",
    "environment.clone_parent_on_create",
)
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_SHOWN = 60


@dataclass
class Wishes:
    activate: bool = False
    empty: bool = False  # activated without a copy of its parent's data
    title: str = ""
    parent: str = ""
    type: EnvironmentType = EnvironmentType.INTEGRATION
    warnings: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def placing(self) -> bool:
        """Whether anything was asked that only a new environment can be given."""
        return bool(self.title or self.parent or self.type is not EnvironmentType.INTEGRATION)


def parse(options: Iterable[str]) -> Wishes:
    wishes = Wishes()
    for option in options:
        key, _, value = option.partition("=")
        key, value = key.strip(), value.strip()
        if key == "environment.status":
            _status(wishes, value)
        elif key == "environment.title":
            wishes.title = value
        elif key == "environment.parent":
            wishes.parent = value
        elif key == "environment.type":
            _type(wishes, value)
        elif key == "environment.clone_parent_on_create":
            _clone(wishes, value)
        elif key in _IGNORED:
            wishes.warnings.append(f"Warning: the push option {key} has no effect here.")
        else:
            known = ", ".join(_KNOWN)
            wishes.warnings.append(f"Warning: the push option {shown(key)} is not known. Known: {known}.")
    return wishes


def _status(wishes: Wishes, value: Literal["active", "inactive"] | str) -> None:
    if value == "active":
        wishes.activate = True
    elif value != "inactive":
        wishes.problems.append(f"environment.status cannot be {shown(value)}. Allowed: active, inactive.")


def _clone(wishes: Wishes, value: str) -> None:
    if value.lower() in _TRUTH:
        wishes.empty = not _TRUTH[value.lower()]
    else:
        wishes.problems.append(f"environment.clone_parent_on_create cannot be {shown(value)}. Allowed: true, false.")


def _type(wishes: Wishes, value: str) -> None:
    if value in _TYPES:
        wishes.type = _TYPES[value]
    elif value == "production":
        wishes.problems.append(
            "environment.type cannot be production: a project has one Production, from its beginning."
        )
    else:
        wishes.problems.append(f"environment.type cannot be {shown(value)}. Allowed: development, staging.")


def shown(text: str, limit: int = _SHOWN) -> str:
    """Text of a stranger in a line for a terminal: quoted, one line, nothing invisible, not endless."""
    clean = "".join(character if character.isprintable() else "?" for character in text[:limit])
    return f'"{clean}{"..." if len(text) > limit else ""}"'
