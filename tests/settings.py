"""Settings for tests: a home of its own for every test process, removed when the process ends."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_home = Path(tempfile.mkdtemp(prefix="slipway-test-"))
_home.chmod(0o755)
(_home / "static").mkdir()
atexit.register(shutil.rmtree, _home, ignore_errors=True)
os.environ["SLIPWAY_HOME"] = str(_home)
os.environ["SLIPWAY_SECRET_KEY"] = "only-for-tests"
os.environ["SLIPWAY_FIELD_KEYS"] = "c2xpcHdheS1vbmx5LWZvci10ZXN0cy0zMi1ieXRlczA="

from portal.settings import *  # noqa: E402, F403

STORAGES = STORAGES | {  # noqa: F405
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    # A file, not memory: servers under test read it from threads of their own, with locks that wait.
    DATABASES["default"]["TEST"] = {"NAME": str(_home / "test.sqlite3")}  # noqa: F405
