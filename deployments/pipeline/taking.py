"""Making a backup: everything at one instant, packed part by part, and a manifest that makes it exist; its proof."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models.functions import Now

from deployments import live, state
from deployments.enums import Fault
from deployments.models import Backup, Release
from deployments.pipeline import specs
from deployments.pipeline.context import GREEN, PLAIN, Context
from deployments.pipeline.failures import Failure
from environments.backing import engine_for, files
from environments.backups import archive, manifest, store
from environments.backups.archive import Damaged
from environments.backups.manifest import Contents, Part
from environments.models import Environment
from environments.process import ProcessError
from environments.runtimes.base import Runtime, RuntimeFailure, ServiceSpec, Snapshot
from portal.crypto import encrypt
from portal.errors import SlipwayError


class Taking:
    """One backup as it is made by this worker."""

    def __init__(self, context: Context, reason: str) -> None:
        self.context = context
        self.environment = context.environment
        self.backup = _row(context, reason)
        self.folder = settings.HOME.snapshot(context.activity.pk)
        self.snapshot: Snapshot | None = None
        self.services = specs.service_specs(self.environment)

    def copy(self) -> str:
        place = specs.place_of(self.environment)
        self.snapshot = self.context.runtime.snapshot(
            place, list(self.services.values()), self.folder / "data", self.context.watch()
        )
        held = f"{self.environment.title} stood still for {self.snapshot.held:.2f} s"
        self.context.say(held)
        return f"held {self.snapshot.held:.2f} s"

    def store(self) -> None:
        assert self.snapshot is not None
        parts = []
        for number, part in enumerate(self._parts(self.snapshot), 1):
            parts.append(self._pack(number, **part))
        release = Release.objects.filter(environment=self.environment, state=Release.State.LIVE).first()
        contents = Contents(
            project=self.backup.project_id,
            backup=self.backup.pk,
            at=self.snapshot.at.isoformat(),
            environment=_described(self.environment),
            release=_release(release),
            sealed=encrypt(json.dumps(_secrets_of(release))),
            parts=parts,
        )
        store.settle()
        checksum = manifest.write(contents)
        store.settle()
        self._record(contents, checksum, release)
        discard(self.context.runtime, self.folder)

    def _parts(self, snapshot: Snapshot) -> Iterator[dict[str, Any]]:
        data = self.folder / "data"
        for name, spec in self.services.items():
            if (data / "services" / snapshot.folders[name]).is_dir():
                yield {
                    "kind": "service",
                    "name": name,
                    "folder": f"services/{snapshot.folders[name]}",
                    "engine": spec.engine,
                    "version": spec.version,
                    "asked": spec.asked,
                    "expects": dict(snapshot.counts.get(name, {})),
                }
        for folder in sorted((data / "mounts").iterdir()):
            yield {"kind": "mount", "name": folder.name, "folder": f"mounts/{folder.name}"}

    def _pack(self, number: int, **part: Any) -> Part:
        file = f"part-{number:02}.tar.zst"
        name = store.path(self.backup.project_id, self.backup.pk, file)
        packed = archive.pack(self.folder / "data" / part["folder"], name, check=self.context.check)
        made = Part(file=file, files=packed.files, bytes=packed.bytes, size=packed.size, sha256=packed.sha256, **part)
        self.context.say(f"{made.name}: {_mb(made.bytes)} in {made.files} files, stored as {_mb(made.size)}")
        return made

    def _record(self, contents: Contents, checksum: str, release: Release | None) -> None:
        assert self.snapshot is not None
        shown = [
            {name: getattr(part, name) for name in ("kind", "name", "engine", "version", "bytes", "files", "size")}
            for part in contents.parts
        ]
        with state.fenced(self.context.activity):
            Backup.objects.filter(pk=self.backup.pk).update(
                state=Backup.State.STORED,
                at=self.snapshot.at,
                held=self.snapshot.held,
                release_number=release.number if release else None,
                commit=release.commit if release else "",
                subject=release.subject if release else "",
                data_bytes=sum(part.bytes for part in contents.parts),
                size=contents.size,
                parts=shown,
                manifest=checksum,
            )
        self.backup.refresh_from_db()
        tell(self.backup)


def prove(context: Context, backup: Backup) -> str:
    """Restore it out of everybody's reach, and read all of it. Raises Failure when it cannot be relied on."""
    began, top = time.monotonic(), settings.HOME.snapshot(context.activity.pk) / "proof"
    counts: dict[str, Mapping[str, int]] = {}
    try:
        contents = manifest.read(backup.project_id, backup.pk, backup.manifest)
        for part in contents.parts:
            counts[part.name] = _prove_part(context, contents, part, top / part.folder)
    except (Damaged, RuntimeFailure, ProcessError, SlipwayError) as error:
        context.check()  # a cancellation proves nothing
        message = str(error).partition("\n")[0]
        _proven(context, backup, Backup.Proof.FAILED, message, counts, began)
        context.log.line(str(error))
        text = f"The backup is stored, but it could not be proven: {message}"
        raise Failure("backup-unproven", text, fault=Fault.PLATFORM) from error
    finally:
        discard(context.runtime, top.parent)
    note = _summary(contents, counts)
    _proven(context, backup, Backup.Proof.PROVEN, note, counts, began)
    context.say(f"{GREEN}proven{PLAIN}: {note}")
    return "proven"


def _prove_part(context: Context, contents: Contents, part: Part, folder: Path) -> Mapping[str, int]:
    name = store.path(contents.project, contents.backup, part.file)
    archive.verify(name, part.sha256, part.size, check=context.check)
    archive.unpack(name, folder, check=context.check)
    found = files.measure(folder)
    if found != (part.files, part.bytes):
        raise Damaged(f"{part.name} has {found[0]} files with {found[1]} bytes, not {part.files} with {part.bytes}.")
    if part.kind != "service" or not engine_for(part.engine).countable:
        return {"files": part.files}
    counts = context.runtime.count(_scratch(context, part), folder, context.watch())
    tables = (part.expects or {}).get("tables")
    if tables is not None and len(counts) != tables:
        raise Damaged(f"{part.name} has {len(counts)} tables, and had {tables} at the instant of the backup.")
    context.say(f"{part.name}: {part.files} files as recorded, {_counted(part, counts)}")
    return counts


def _scratch(context: Context, part: Part) -> ServiceSpec:
    """A service of nobody: its passwords are made now and thrown away."""
    engine = engine_for(part.engine)
    return ServiceSpec(
        place=specs.place_of(context.environment),
        name=part.name,
        engine=part.engine,
        version=part.version,
        asked=part.asked,
        address="127.0.0.1",
        port=engine.port,
        secrets=engine.new_secrets({}),
        configuration={},
    )


def _proven(
    context: Context, backup: Backup, proof: str, note: str, counts: Mapping[str, Mapping[str, int]], began: float
) -> None:
    with state.fenced(context.activity):
        Backup.objects.filter(pk=backup.pk).update(
            proof=proof,
            proof_at=Now(),
            proof_seconds=time.monotonic() - began,
            proof_note=note[:300],
            counts={name: dict(found) for name, found in counts.items()},
        )
    backup.refresh_from_db()
    tell(backup)


def _summary(contents: Contents, counts: Mapping[str, Mapping[str, int]]) -> str:
    """ "12 tables with 48,211 rows, 3 keys, 210 files"."""
    services = [part for part in contents.parts if part.kind == "service" and engine_for(part.engine).countable]
    said = [_counted(part, counts[part.name]) for part in services]
    mounted = sum(part.files for part in contents.parts if part not in services)
    return ", ".join([*said, _many(mounted, "file") if said else f"{_many(mounted, 'file')} as recorded"])


def _counted(part: Part, counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    if part.engine in ("redis", "valkey"):
        return f"{_many(total, 'key')} in {part.name}"
    return f"{_many(len(counts), 'table')} with {_many(total, 'row')} in {part.name}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def discard(runtime: Runtime, folder: Path) -> None:
    runtime.throw_away(folder)


def drop(backup: Backup) -> None:
    """Remove it from the store, then its row. Safe to repeat."""
    Backup.objects.filter(pk=backup.pk).update(state=Backup.State.REMOVING)
    store.remove(backup.project_id, backup.pk)
    backup.delete()
    live.publish(f"project:{backup.project_id}", "environment")


def tell(backup: Backup) -> None:
    live.publish(f"project:{backup.project_id}", "environment")


def _row(context: Context, reason: str) -> Backup:
    """Written before anything of it is stored."""
    environment = context.environment
    with state.fenced(context.activity):
        made, _ = Backup.objects.get_or_create(
            activity=context.activity,
            defaults={
                "project": context.project,
                "environment": environment,
                "environment_title": environment.title,
                "environment_type": environment.type,
                "reason": reason,
                "note": str(context.activity.parameters.get("note") or "")[:200],
                "asked_by": context.activity.actor_name,
            },
        )
    return made


def _described(environment: Environment) -> dict[str, Any]:
    return {name: getattr(environment, name) for name in ("name", "title", "branch", "type", "machine_name")}


def _release(release: Release | None) -> dict[str, Any]:
    if release is None:
        return {}
    kept = ("number", "commit", "subject", "author", "slugs", "configuration")
    return {name: getattr(release, name) for name in kept}


def _secrets_of(release: Release | None) -> dict[str, Any]:
    """What a release is run with and that must not lie about in plain text."""
    variables = specs.variables_of(release) if release else []
    return {"variables": [asdict(each) for each in variables]} if variables else {}


def _mb(size: int) -> str:
    return f"{size / 1024**2:,.1f} MB"
