"""The project templates in starters/, each described by its own .slipway/starter.yaml."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from django.conf import settings

from portal.errors import Missing

_DESCRIPTION = Path(".slipway") / "starter.yaml"


@dataclass(frozen=True)
class Starter:
    name: str  # its folder
    title: str
    description: str
    services: Sequence[str]
    path: Path
    order: int = 100


def starters() -> list[Starter]:
    """Every starter, in the order in which they are shown."""
    found = [_read(path) for path in Path(settings.STARTERS_DIR).iterdir() if (path / _DESCRIPTION).is_file()]
    return sorted(found, key=lambda starter: (starter.order, starter.name))


def find(name: str) -> Starter:
    """Raises Missing."""
    for starter in starters():
        if starter.name == name:
            return starter
    raise Missing(f"There is no template {name!r}.")


def _read(path: Path) -> Starter:
    told = yaml.safe_load((path / _DESCRIPTION).read_text(encoding="utf-8")) or {}
    return Starter(
        name=path.name,
        title=str(told["title"]),
        description=str(told.get("description", "")),
        services=[str(service) for service in told.get("services", ())],
        path=path,
        order=int(told.get("order", 100)),
    )
