"""What is on this host of environments that do not exist, or of services that they do not have."""

import re
import time
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

from environments.runtimes.base import Place, Stray
from environments.runtimes.local import sandbox
from environments.runtimes.local.layout import Layout, plain, throw_away
from environments.runtimes.local.supervisor import Supervisor
from portal.paths import Home

_GROUP = re.compile(r"e(?P<key>\d+)-(?:s-(?P<service>[a-z0-9-]+)|.+)\Z")

Known = Mapping[Place, Collection[str] | None]


def find(home: Home, supervisor: Supervisor, known: Known) -> list[Stray]:
    return [*_groups(home, supervisor, known), *_folders(home, known)]


def _groups(home: Home, supervisor: Supervisor, known: Known) -> Iterator[Stray]:
    services = {place.key: _plain(names) for place, names in known.items()}
    for group in supervisor.groups("e"):
        found = _GROUP.match(group)
        if found is None:
            continue
        key, service = int(found["key"]), found["service"]
        names = services.get(key)
        if key not in services or (service is not None and names is not None and service not in names):

            def remove(group: str = group) -> None:
                supervisor.remove(group, patience=5)
                sandbox.remove_groups(group)

            yield Stray(f"The program group {group}", _age(home.supervisor_programs / f"{group}.ini"), remove)


def _folders(home: Home, known: Known) -> Iterator[Stray]:
    places = {(place.project_id, place.machine_name): place for place in known}
    top = home.environment("x", "y").parent.parent
    for folder in top.glob("*/*"):
        place = places.get((folder.parent.name, folder.name))
        if place is None:
            yield _folder(home, f"The folder of environment {folder.name} of {folder.parent.name}", folder)
            continue
        names = _plain(known[place])
        if names is None:
            continue
        for service in Layout(home, place).services.glob("*"):
            if service.is_dir() and service.name not in names:
                yield _folder(home, f"The data of service {service.name} of environment {folder.name}", service)


def _folder(home: Home, what: str, path: Path) -> Stray:
    return Stray(what, _age(path), partial(throw_away, home, [path]))


def _plain(names: Collection[str] | None) -> set[str] | None:
    return None if names is None else {plain(name) for name in names}


def _age(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0
