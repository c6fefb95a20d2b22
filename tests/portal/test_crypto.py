import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps

from portal import crypto, fields
from tests.factories import ProjectFactory

MANIFEST = "the manifest of a backup"
ROOT = Path(crypto.__file__).parent.parent

# Who encrypts, and the fields (or file) that it goes into. Whoever is added here uses a SealedField, or keys cannot be
# changed without losing what it holds.
ENCRYPTS: dict[str, tuple[str, ...]] = {
    "deployments/actions/domains.py": ("Certificate.key",),
    "environments/management/commands/certificate.py": ("Certificate.key",),
    "deployments/actions/projects.py": ("Project.deploy_key_private", "Project.entropy_sealed"),
    "deployments/pipeline/provisioning.py": ("Service.secret",),
    "deployments/models/variable_set.py": ("VariableSet.sealed",),
    "environments/models/variable.py": ("Variable.sealed",),
    "deployments/pipeline/taking.py": (MANIFEST,),
}


@pytest.fixture
def keys(settings: Any, tmp_path: Path) -> Path:
    settings.FIELD_KEYS = []
    settings.FIELD_KEYS_FILE = tmp_path / "fields.keys"
    settings.FIELD_KEYS_FILE.write_text(Fernet.generate_key().decode() + "\n")
    return tmp_path / "fields.keys"


def test_a_process_that_runs_takes_over_keys_that_are_changed(keys: Path) -> None:
    old = crypto.encrypt("x")
    first = keys.read_text()
    keys.write_text(Fernet.generate_key().decode() + "\n" + first)
    assert not crypto.is_current(old)
    new = crypto.encrypt("x")
    assert crypto.is_current(new)
    assert crypto.is_current(crypto.renew(old))
    keys.write_text(keys.read_text().split()[0])
    assert crypto.decrypt(new) == "x"
    with pytest.raises(InvalidToken):
        crypto.decrypt(old)


def test_everything_that_is_encrypted_lies_in_a_field_that_rotation_finds() -> None:
    sources = {
        str(path.relative_to(ROOT)): path.read_text()
        for app in ("portal", "environments", "deployments")
        for path in (ROOT / app).rglob("*.py")
    }
    imports = re.compile(r"^from portal\.crypto import .*\bencrypt\b", re.MULTILINE)
    assert {name for name, text in sources.items() if imports.search(text)} == ENCRYPTS.keys()
    assert {f"{model.__name__}.{name}" for model, name in fields.sealed()} == {
        name for names in ENCRYPTS.values() for name in names
    } - {MANIFEST}


@pytest.mark.django_db
def test_what_projects_have_to_seed_their_secrets_with_is_sealed_once_and_read_as_before() -> None:
    migration = import_module("portal.migrations.0005_sealed_entropy")
    plain = "e" * 56
    project = ProjectFactory(entropy_sealed=plain)
    migration.seal(apps, None)
    project.refresh_from_db()
    sealed = project.entropy_sealed
    assert plain not in sealed
    assert project.entropy == plain
    migration.seal(apps, None)
    project.refresh_from_db()
    assert project.entropy_sealed == sealed
    migration.unseal(apps, None)
    project.refresh_from_db()
    assert project.entropy_sealed == plain
