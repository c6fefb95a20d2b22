"""The files in an environment's mounts, to be looked at: folder by folder, nothing followed, nothing opened."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from deployments.models import Release
from deployments.pipeline import mounts
from deployments.pipeline.mounts import Kept
from deployments.views import frame
from environments import browsing
from environments.browsing import Found
from portal.errors import Missing


@dataclass(frozen=True)
class Row:
    entry: Found
    name: str
    url: str  # empty for what is no folder


@dataclass(frozen=True)
class Overview:
    mount: Kept
    url: str
    files: int | None  # None: not measured yet
    size: int


@login_required
@require_GET
def environment_files(request: HttpRequest, project_id: str, name: str) -> HttpResponse:
    framed = frame.load(request, project_id)
    node = framed.node(name)
    shown = node.environment
    release = Release.objects.filter(environment=shown, state=Release.State.LIVE).first()
    kept = mounts.of(shown, release)
    here = reverse("environment_files", args=[project_id, name])
    asked = _asked(request)
    if not asked.get("in"):
        measured = mounts.sizes(shown) if kept else None
        found = measured.found if measured else {}
        rows = [
            Overview(each, _url(here, each.key) if each.root else "", *(found.get(each.key) or (None, 0)))
            for each in kept
        ]
        return frame.environment_page(
            request,
            "environments/files.html",
            framed,
            node,
            frame.Crumb("Files"),
            tab="environment_files",
            mounts=rows,
            measured=measured,
        )
    mount = next((each for each in kept if each.key == asked["in"]), None)
    if mount is None or mount.root is None:
        raise Missing("There is no such mount.")
    path = "/".join(part for part in asked.get("path", "").split("/") if part not in ("", "."))
    page = int(asked["page"]) if asked.get("page", "").isascii() and asked.get("page", "").isdigit() else 1
    found_here = browsing.listing(mount.root, mount.below, path, max(1, min(page, 1000)))
    rows_here = [_row(here, mount, path, each) for each in found_here.entries]
    return frame.environment_page(
        request,
        "environments/folder.html",
        framed,
        node,
        frame.Crumb("Files", here),
        tab="environment_files",
        mount=mount,
        trail=_trail(here, mount, path),
        rows=rows_here,
        listing=found_here,
        most=browsing.MOST,
        later=_url(here, mount.key, path, found_here.page + 1) if found_here.page < found_here.pages else "",
        earlier=_url(here, mount.key, path, found_here.page - 1) if found_here.page > 1 else "",
    )


def _asked(request: HttpRequest) -> dict[str, str]:
    """The query, in which names may hold bytes that are no UTF-8."""
    try:
        given = parse_qs(request.META.get("QUERY_STRING", ""), errors="surrogateescape", max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in given.items()}


def _row(here: str, mount: Kept, path: str, entry: Found) -> Row:
    below = f"{path}/{entry.name}" if path else entry.name
    name = os.fsencode(entry.name).decode("utf-8", "replace")
    return Row(entry, name, _url(here, mount.key, below) if entry.kind == "folder" else "")


def _trail(here: str, mount: Kept, path: str) -> Sequence[tuple[str, str]]:
    """(name, url) of the mount and of each folder on the way."""
    parts = path.split("/") if path else []
    names = [os.fsencode(part).decode("utf-8", "replace") for part in parts]
    ways = [_url(here, mount.key, "/".join(parts[: number + 1])) for number in range(len(parts))]
    return [(f"/app/{mount.path}", _url(here, mount.key)), *zip(names, ways, strict=True)]


def _url(here: str, key: str, path: str = "", page: int = 1) -> str:
    query = {"in": key} | ({"path": path} if path else {}) | ({"page": page} if page > 1 else {})
    return f"{here}?{urlencode(query, errors='surrogateescape')}"
