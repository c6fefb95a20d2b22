"""What the nginx of Production looks at while it runs: files that are there or not. So a change needs no deployment.

The other environments ask the portal about every visitor and are never listed; they need no marks.
"""

from pathlib import Path

from django.conf import settings
from django.db import transaction

from environments.models import Environment, HttpAccess
from environments.runtimes.base import ASKED, UNLISTED


def refresh(environment: Environment) -> None:
    """Make the marks what the database says. Safe to repeat; whoever is last has read what was written last."""
    if not environment.is_public:
        return
    with transaction.atomic():
        now = Environment.objects.select_for_update().get(pk=environment.pk)
        for name, on in _wanted(now).items():
            _set(now.pk, name, on=on)


def right(environment: Environment) -> bool:
    """Whether nothing is to be refreshed."""
    return not environment.is_public or all(
        _path(environment.pk, name).exists() is on for name, on in _wanted(environment).items()
    )


def ask(environment: Environment) -> None:
    """Let nginx ask the portal from now on. The portal lets everyone in while there is no reason to ask: so this comes
    before what makes one is committed, and a process that dies between the two leaves nothing open."""
    if environment.is_public:
        _set(environment.pk, ASKED, on=True)


def _wanted(environment: Environment) -> dict[str, bool]:
    asked = HttpAccess.objects.filter(environment=environment, enabled=True).exists()
    return {ASKED: asked, UNLISTED: environment.unlisted}


def _path(environment_pk: int, name: str) -> Path:
    folder: Path = settings.HOME.marks(environment_pk)
    return folder / name


def _set(environment_pk: int, name: str, *, on: bool) -> None:
    mark = _path(environment_pk, name)
    if on:
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark.touch()
    else:
        mark.unlink(missing_ok=True)
