"""A backup as one tar, sent as it is read: nothing is held in memory, and no thread waits for a slow reader."""

import tarfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import ExitStack, aclosing
from functools import partial

from asgiref.sync import sync_to_async
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, StreamingHttpResponse
from django.views.decorators.http import require_GET

from deployments.actions import backups as actions
from deployments.models import Backup
from deployments.views import frame
from deployments.views.streams import LOOK_AGAIN, Reader, database
from environments.backups import manifest, store
from environments.backups.archive import Damaged
from portal.errors import Conflict
from portal.permissions import Permission
from portal.requests import address

_CHUNK = 256 * 1024
_BLOCK = 512


@login_required
@require_GET
def backup_download(request: HttpRequest, project_id: str, name: str, backup_id: str) -> StreamingHttpResponse:
    framed = frame.load(request, project_id)
    backup = actions.find(framed.node(name).environment, backup_id)
    actions.check_may(backup, framed.user, Permission.SHELL)
    try:
        files = _files(backup)
    except Damaged as error:
        raise Conflict(f"The backup cannot be downloaded: {error}") from error
    actions.downloaded(backup, by=framed.user, address=address(request))
    reader = Reader(framed.user, request.session.session_key)
    may = partial(reader.may, lambda user: actions.check_may(backup, user, Permission.SHELL))
    response = StreamingHttpResponse(_guarded(_tar(files), may), content_type="application/x-tar")
    response["Content-Length"] = str(sum(_BLOCK + _padded(size) for _, _, size in files) + 2 * _BLOCK)
    when = f"{backup.at:%Y%m%d-%H%M%S}" if backup.at else "x"
    response["Content-Disposition"] = f'attachment; filename="{framed.node(name).environment.name}-{when}.tar"'
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


def _files(backup: Backup) -> list[tuple[str, str, int]]:
    """(name in the store, name in the tar, size). Raises Damaged."""
    contents = manifest.read(backup.project_id, backup.pk, backup.manifest)
    found = []
    for file in (manifest.FILE, *(part.file for part in contents.parts)):
        name = store.path(contents.project, contents.backup, file)
        size = store.size(name)
        if size is None:
            raise Damaged(f"{file} is not in the store any more.")
        found.append((name, f"{backup.pk}/{file}", size))
    return found


def _tar(files: list[tuple[str, str, int]]) -> Iterator[bytes]:
    for name, shown, size in files:
        header = tarfile.TarInfo(shown)
        header.size, header.mtime, header.mode = size, int(time.time()), 0o600
        yield header.tobuf(tarfile.USTAR_FORMAT if size < 8 * 1024**3 else tarfile.GNU_FORMAT)
        left = size
        with ExitStack() as stack:
            source = stack.enter_context(store.opened(name))
            while left:
                data = source.read(min(_CHUNK, left))
                if not data:
                    raise Damaged(f"{name} is shorter than it was.")
                left -= len(data)
                yield data
        yield bytes(_padded(size) - size)
    yield bytes(2 * _BLOCK)


def _padded(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


async def _guarded(chunks: Iterator[bytes], may: "partial[bool]") -> AsyncIterator[bytes]:
    """Ends when the person may no more; each read is done in a thread of its own."""
    look_again = time.monotonic() + LOOK_AGAIN
    async with aclosing(_threaded(chunks)) as read:
        async for data in read:
            if time.monotonic() > look_again:
                if not await database(may)():
                    return
                look_again = time.monotonic() + LOOK_AGAIN
            yield data


async def _threaded(chunks: Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    following = sync_to_async(lambda: next(chunks, None), thread_sensitive=False)
    while (data := await following()) is not None:
        yield data
