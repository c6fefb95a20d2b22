"""What of backups is encrypted lies in their manifests, not in the database: it follows when keys are changed."""

import json
import os
from dataclasses import replace
from pathlib import Path

from cryptography.fernet import InvalidToken
from django.conf import settings

from deployments.models import Backup
from environments.backups import manifest
from environments.backups.archive import Damaged
from portal import crypto


def renew() -> tuple[int, list[str]]:
    """Seal again what is not under the first key: how many were, and which could not be. Safe to repeat."""
    count, lost = _finish(), []
    for backup in Backup.objects.stored().order_by("pk"):
        try:
            count += _renew(backup)
        except (Damaged, InvalidToken, OSError) as error:
            lost.append(f"backup {backup.pk}: {error or 'no key opens it'}")
    return count, lost


def _renew(backup: Backup) -> int:
    contents = manifest.read(backup.project_id, backup.pk, backup.manifest)
    if not contents.sealed or crypto.is_current(contents.sealed):
        return 0
    fresh = replace(contents, sealed=crypto.renew(contents.sealed))
    # Manifest and checksum cannot change as one: what is half done is written down before it begins.
    _note().write_text(json.dumps([backup.pk, manifest.checksum(fresh)]))
    Backup.objects.filter(pk=backup.pk).update(manifest=manifest.write(fresh))
    _note().unlink()
    return 1


def _finish() -> int:
    """Bring to its end what a run that was killed had begun."""
    try:
        key, checksum = json.loads(_note().read_text())
    except FileNotFoundError:
        return 0
    except ValueError:  # killed while it was written: nothing had been done
        _note().unlink()
        return 0
    backup = Backup.objects.filter(pk=key).first()
    done = 0
    if backup is not None:
        try:
            manifest.read(backup.project_id, backup.pk, checksum)
            done = Backup.objects.filter(pk=key).update(manifest=checksum)
        except Damaged:
            pass  # the new one was not stored
    os.unlink(_note())
    return done


def _note() -> Path:
    path: Path = settings.FIELD_KEYS_FILE
    return path.with_suffix(".resealing")
