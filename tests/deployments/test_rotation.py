import io
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.core.management import CommandError, call_command

from deployments import resealing
from deployments.models import Backup, VariableSet
from environments.backups import manifest
from environments.backups.manifest import Contents
from environments.models import Environment, Variable
from portal import crypto, fields, rotation
from portal.paths import Home
from tests.factories import EnvironmentFactory, ServiceFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def keys(settings: Any, fake_home: Home) -> Path:
    settings.FIELD_KEYS = []
    settings.FIELD_KEYS_FILE = fake_home.secrets / "fields.keys"
    fake_home.secrets.mkdir()
    settings.FIELD_KEYS_FILE.write_text(Fernet.generate_key().decode() + "\n")
    return fake_home.secrets / "fields.keys"


@pytest.fixture
def environment(keys: Path) -> Environment:
    made = EnvironmentFactory()
    row = Variable(project=made.project, environment=made, name="env:A")
    row.text = "hush"
    row.save()
    VariableSet.objects.create(environment=made, sealed=VariableSet.seal([]))
    ServiceFactory(environment=made, secret=crypto.encrypt("{}"))
    made.project.deploy_key_private = crypto.encrypt("key")
    made.project.entropy_sealed = crypto.encrypt("e" * 56)
    made.project.save()
    return made


def backup_of(environment: Environment) -> Backup:
    backup = Backup(project=environment.project, environment=environment, state=Backup.State.STORED)
    contents = Contents(
        project=environment.project_id,
        backup=backup.pk,
        at="2026-11-01T00:00:00+00:00",
        environment={},
        release={},
        sealed=crypto.encrypt("{}"),
        parts=[],
    )
    backup.manifest = manifest.write(contents)
    backup.save()
    return backup


def rotate(*arguments: str) -> str:
    said = io.StringIO()
    call_command("rotate_keys", *arguments, stdout=said)
    return said.getvalue()


def tokens() -> list[str]:
    return [
        token
        for model, name in fields.sealed()
        for token in model._base_manager.exclude(**{name: ""}).values_list(name, flat=True)
    ]


def test_all_is_encrypted_under_the_new_key_and_the_old_one_can_go(environment: Environment, keys: Path) -> None:
    backup = backup_of(environment)
    old = tokens()
    assert len(old) == 5
    assert "5 values, 1 backups" in rotate()
    assert len(keys.read_text().split()) == 2
    assert crypto.decrypt(old[0])  # older copies of the database
    assert all(map(crypto.is_current, tokens()))
    rotate("--retire")
    assert len(keys.read_text().split()) == 1
    assert keys.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InvalidToken):
        crypto.decrypt(old[0])
    assert Variable.objects.get().text == "hush"
    backup.refresh_from_db()
    assert crypto.decrypt(manifest.read(backup.project_id, backup.pk, backup.manifest).sealed) == "{}"


def test_an_interrupted_change_is_gone_on_with_under_the_same_key(
    environment: Environment, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "renew", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rotate()
    assert "interrupted" in rotate()
    assert len(keys.read_text().split()) == 2
    assert rotation.left() == 0


@pytest.mark.parametrize("stored", [True, False])
def test_a_kill_between_manifest_and_checksum_damages_no_backup(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    backup = backup_of(environment)
    rotation.add()
    real = manifest.write

    def killed(contents: Contents) -> str:
        if stored:
            real(contents)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            resealing.renew()
    assert resealing.renew() == (1, [])
    backup.refresh_from_db()
    assert crypto.is_current(manifest.read(backup.project_id, backup.pk, backup.manifest).sealed)


def test_no_key_is_removed_while_something_cannot_be_opened(environment: Environment, keys: Path) -> None:
    ServiceFactory(environment=environment, name="other", secret=Fernet(Fernet.generate_key()).encrypt(b"x").decode())
    with pytest.raises(CommandError, match="secret of service"):
        rotate()
    with pytest.raises(CommandError, match="no key was removed"):
        rotate("--retire")
    assert len(keys.read_text().split()) == 2
