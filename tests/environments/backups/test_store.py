"""What is packed comes back the same, from a folder and from a bucket; what was altered does not."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from environments.backups import archive, manifest, store
from environments.backups.archive import Damaged
from environments.backups.manifest import Contents, Part

PROJECT, BACKUP = "projectid0000", "backupid00000"
NAME = f"{PROJECT}/{BACKUP}/part-01.tar.zst"


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    import boto3

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}"
    boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1"
    ).create_bucket(Bucket="backups")
    yield url
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def stored(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> str:
    from portal.paths import Home

    settings.HOME = Home(tmp_path)
    if request.param == "folder":
        backend = "django.core.files.storage.FileSystemStorage"
        options: dict[str, Any] = {"location": tmp_path / "backups", "base_url": None}
    else:
        backend = "storages.backends.s3.S3Storage"
        options = {
            "bucket_name": "backups",
            "location": tmp_path.name,
            "endpoint_url": request.getfixturevalue("bucket"),
            "access_key": "x",
            "secret_key": "x",
            "region_name": "us-east-1",
        }
    settings.STORAGES = settings.STORAGES | {"backups": {"BACKEND": backend, "OPTIONS": options}}
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    (made / "deep" / "er").mkdir(parents=True)
    (made / "deep" / "er" / "file").write_bytes(os.urandom(3_000_000))
    (made / "ünï\nname").write_text("x")
    (made / "link").symlink_to("../../etc/passwd")
    (made / "empty").mkdir(mode=0o700)
    with (made / "holes").open("wb") as file:
        file.truncate(50_000_000)
    return made


def nothing() -> None:
    """Goes on."""


def test_what_is_packed_comes_back_the_same(stored: str, folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        packed = archive.pack(folder, NAME, check=nothing)
    assert (packed.files, packed.size) == (3, store.size(NAME))
    assert packed.size < 4_000_000
    archive.verify(NAME, packed.sha256, packed.size, check=nothing)
    back = tmp_path / "back"
    archive.unpack(NAME, back, check=nothing)
    assert (back / "deep" / "er" / "file").read_bytes() == (folder / "deep" / "er" / "file").read_bytes()
    assert os.readlink(back / "link") == "../../etc/passwd"
    assert (back / "empty").stat().st_mode & 0o777 == 0o700
    assert (back / "holes").stat().st_blocks * 512 < 1_000_000
    assert store.names(PROJECT, BACKUP) == ["part-01.tar.zst"]
    assert store.all_ids() == [(PROJECT, BACKUP)]
    for _ in range(2):
        store.remove(PROJECT, BACKUP)
    assert store.all_ids() == []
    assert store.size(NAME) is None
    with pytest.raises(Damaged, match="not in the store"):
        archive.verify(NAME, packed.sha256, packed.size, check=nothing)


def test_what_was_altered_or_cut_is_refused(stored: str, folder: Path) -> None:
    packed = archive.pack(folder, NAME, check=nothing)
    data = bytearray(store.read(NAME))
    store.save(NAME, io.BytesIO(bytes(data[:-1])))
    with pytest.raises(Damaged, match="bytes and should have"):
        archive.verify(NAME, packed.sha256, packed.size, check=nothing)
    data[100] ^= 1
    store.save(NAME, io.BytesIO(bytes(data)))
    with pytest.raises(Damaged, match="altered"):
        archive.verify(NAME, packed.sha256, packed.size, check=nothing)


def test_a_manifest_is_only_what_was_written_for_this_project(stored: str) -> None:
    part = Part("service", "db", "services/db", "part-01.tar.zst", 1, 2, 3, "0" * 64, "mariadb", "10.11", "mysql:10.4")
    contents = Contents(PROJECT, BACKUP, "2026-01-01T00:00:00+00:00", {"name": "x"}, {}, "sealed", [part])
    checksum = manifest.write(contents)
    assert manifest.read(PROJECT, BACKUP, checksum) == contents
    with pytest.raises(Damaged, match="altered"):
        manifest.read(PROJECT, BACKUP, "0" * 64)
    with pytest.raises(Damaged, match="not in the store"):
        manifest.read(PROJECT, "other00000000", checksum)
    name = store.path("projectid1111", BACKUP, manifest.FILE)
    store.save(name, io.BytesIO(store.read(store.path(PROJECT, BACKUP, manifest.FILE))))
    with pytest.raises(Damaged, match="another backup"):
        manifest.read("projectid1111", BACKUP, checksum)


def test_a_stop_while_packing_leaves_nothing_that_could_be_taken_for_a_backup(stored: str, folder: Path) -> None:
    calls = iter(range(100))

    def stop() -> None:
        if next(calls) > 0:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        archive.pack(folder, NAME, check=stop)
    assert manifest.FILE not in store.names(PROJECT, BACKUP)


@pytest.mark.parametrize("odd", ["../../etc", "", "UPPER00000000", "a" * 14, "backupid0000/"])
def test_names_in_the_store_are_made_of_ids_only(odd: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        store.path(PROJECT, odd, "manifest.json")
    with pytest.raises(ValueError, match="not the name"):
        store.path(odd, BACKUP, "manifest.json")
