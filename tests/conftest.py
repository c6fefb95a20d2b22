"""Shared by all tests. Settings need a home with secrets before Django starts, so it is made here, per test process."""

import os
import tempfile
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

_home = Path(tempfile.mkdtemp(prefix="slipway-test-"))
_home.chmod(0o755)
os.environ["SLIPWAY_HOME"] = str(_home)
os.environ["SLIPWAY_SECRET_KEY"] = "only-for-tests"
os.environ["SLIPWAY_FIELD_KEYS"] = Fernet.generate_key().decode()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")


def pytest_sessionfinish() -> None:
    import shutil

    shutil.rmtree(_home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _plain_static_files(settings: object) -> None:
    storages = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.STORAGES = storages  # type: ignore[attr-defined]
