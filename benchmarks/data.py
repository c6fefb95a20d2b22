"""Copies, backups and restores of a MariaDB with 1 GB of data, against what one would do by hand with the same files.

    python -m benchmarks.data [--megabytes N] [folder ...]

In each folder (the temporary one unless another is named; name one on XFS or Btrfs to see files share their blocks):

- branching: copy at one instant, take in, start, against `cp -a` of the same files; and how long the source stood still
- a backup against `mariadb-dump | zstd`, and its restore against `zstd -d | mariadb`; the proof is shown beside it
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.test import override_settings  # noqa: E402

from benchmarks import scratch  # noqa: E402
from environments.backing import engine_for, mariadb  # noqa: E402
from environments.backups import archive, store  # noqa: E402
from environments.process import Watch  # noqa: E402
from environments.runtimes.base import Place, ServiceSpec  # noqa: E402
from environments.runtimes.local import Limits, LocalRuntime  # noqa: E402
from environments.runtimes.local.layout import Layout  # noqa: E402
from portal.paths import Home  # noqa: E402
from tests.environments.backing.servers import free_address, give_away, unprivileged  # noqa: E402
from tests.environments.runtimes.make import start_supervisor, stop_supervisor  # noqa: E402

ROW = 480  # bytes on disk, roughly
AIM_COPY, AIM_REFLINK, AIM_BACKUP = 1.5, 5.0, 1.0
NAME = "projectid0000/backupid00000/part-01.tar.zst"
LIMITS = Limits(app_memory=1024**3, build_memory=1024**3, build_disk=1024**3, start_timeout=120)


def main() -> None:
    parser = scratch.arguments(__doc__)
    parser.add_argument("--megabytes", type=int, default=1024)
    parser.add_argument("folders", nargs="*", type=Path)
    given = parser.parse_args()
    for folder in given.folders or [Path(tempfile.gettempdir())]:
        with _home(folder) as home:
            unprivileged(_measure, home, given.megabytes)


def _measure(home: Home, megabytes: int) -> None:
    runtime = LocalRuntime(home, LIMITS)
    source, target = _service(1), _service(2)
    runtime.provision(source, _quiet())
    _fill(source, Layout(home, source.place).sockets, megabytes)
    data = Layout(home, source.place).services / "db" / "data"
    size = sum(path.stat().st_blocks * 512 for path in data.rglob("*"))
    shares = subprocess.run(
        ["cp", "--reflink=always", str(data / "ibdata1"), str(home.root / "probe")], stderr=subprocess.DEVNULL
    )
    kind = "files share their blocks" if shares.returncode == 0 else "files are copied"
    print(f"{home.root.parent}: {size / 1024**2:.0f} MB of MariaDB, {kind}", flush=True)
    try:
        _branching(runtime, home, source, target, data, shares=shares.returncode == 0)
        _backup(runtime, home, source, target)
    finally:
        for spec in (source, target):
            runtime.remove(spec.place)


def _branching(
    runtime: LocalRuntime, home: Home, source: ServiceSpec, target: ServiceSpec, data: Path, *, shares: bool
) -> None:
    by_hand, settled, ours, held, copied = [], [], [], [], []
    for _ in range(3):
        by_hand.append(_timed(lambda: _run(["cp", "-a", str(data), str(home.root / "by-hand")])))
        settled.append(by_hand[-1] + _timed(lambda: _run(["sync", "-f", str(home.root)])))
        shutil.rmtree(home.root / "by-hand")
        _run(["sync", "-f", str(home.root)])
        began = time.perf_counter()
        taken = runtime.snapshot(source.place, [source], runtime.incoming(target.place), _quiet())
        copied.append(time.perf_counter() - began)
        runtime.take_in(target.place, [target])
        runtime.provision(target, _quiet())
        ours.append(time.perf_counter() - began)
        held.append(taken.held)
        runtime.remove(target.place)
        time.sleep(2)
    best, hand = min(ours), min(by_hand)
    print(f"  branching: {best:.2f} s until the copy answers; the source stood still for {min(held):.2f} s", flush=True)
    if shares:
        print(f"    {scratch.verdict(best, AIM_REFLINK, 's')}")
        return
    rows = [("the copy, cp -a", min(held), hand), ("copied and on the disk, cp -a and sync", min(copied), min(settled))]
    for what, mine, theirs in [*rows, ("copied, on the disk and started, cp -a", best, hand)]:
        told = scratch.verdict(mine / theirs, AIM_COPY, "times")
        print(f"    {what}: {mine:.2f} s, {theirs:.2f} s, ratio {mine / theirs:.2f} ({told})")


def _backup(runtime: LocalRuntime, home: Home, source: ServiceSpec, target: ServiceSpec) -> None:
    options = [f"--socket={_socket(home, source)}", f"--user={mariadb.ADMIN}", f"--password={source.secrets['admin']}"]
    dump = home.root / "dump.sql.zst"
    by_hand = _timed(lambda: _pipe(["mariadb-dump", "--single-transaction", *options, "main"], ["zstd", "-qfo", dump]))
    folder = home.root / "snapshots" / "one"
    began = time.perf_counter()
    runtime.snapshot(source.place, [source], folder, _quiet())
    packed = archive.pack(folder / "services" / "db", NAME, check=lambda: None)
    store.settle()
    ours = time.perf_counter() - began
    print(f"  backup: {ours:.1f} s, {packed.size / 1024**2:.0f} MB; mariadb-dump | zstd: {by_hand:.1f} s", end=", ")
    print(f"{dump.stat().st_size / 1024**2:.0f} MB; {_ratio(ours, by_hand)}", flush=True)
    runtime.throw_away(folder)
    began = time.perf_counter()
    archive.verify(NAME, packed.sha256, packed.size, check=lambda: None)
    archive.unpack(NAME, folder, check=lambda: None)
    rows = sum(runtime.count(source, folder, _quiet()).values())
    print(f"  proof: {time.perf_counter() - began:.1f} s, {rows:,} rows counted", flush=True)
    empty = _service(3)
    runtime.provision(empty, _quiet())
    into = [f"--socket={_socket(home, empty)}", f"--user={mariadb.ADMIN}", f"--password={empty.secrets['admin']}"]
    by_hand = _timed(lambda: _pipe(["zstd", "-qdc", dump], ["mariadb", *into, "main"]))
    runtime.remove(empty.place)
    began = time.perf_counter()
    archive.verify(NAME, packed.sha256, packed.size, check=lambda: None)
    incoming = runtime.incoming(target.place)
    archive.unpack(NAME, incoming / "services" / "db", check=lambda: None)
    runtime.take_in(target.place, [target])
    runtime.provision(target, _quiet())
    ours = time.perf_counter() - began
    print(f"  restore: {ours:.1f} s; zstd -d | mariadb: {by_hand:.1f} s; {_ratio(ours, by_hand)}", flush=True)


def _ratio(ours: float, theirs: float) -> str:
    return f"ratio {ours / theirs:.2f} ({scratch.verdict(ours / theirs, AIM_BACKUP, 'times')})"


def _fill(spec: ServiceSpec, sockets: Path, megabytes: int) -> None:
    rows = megabytes * 1024**2 // ROW
    with mariadb._connect(spec, sockets, patience=3600) as connection, connection.cursor() as cursor:
        cursor.execute("USE main")
        cursor.execute("CREATE TABLE customer (id INT PRIMARY KEY, email VARCHAR(80), text VARCHAR(600), KEY (email))")
        for first in range(1, rows, 100_000):
            last = min(first + 99_999, rows)
            cursor.execute(
                "INSERT INTO customer SELECT seq, CONCAT(MD5(seq), '@example.com'), "
                f"CONCAT(SHA2(seq, 512), REPEAT(MD5(seq + 1), 4), SHA2(seq + 2, 256)) FROM seq_{first}_to_{last}"
            )


def _service(number: int) -> ServiceSpec:
    engine = engine_for("mariadb")
    place = Place("projectid0000", f"bench-{number}", number)
    secrets = engine.new_secrets({})
    version, address = engine.versions()[-1], free_address(3306)
    return ServiceSpec(place, "db", engine.name, version, "mysql:10.11", address, 3306, secrets, {})


def _socket(home: Home, spec: ServiceSpec) -> Path:
    from environments.backing.base import socket_directory

    return socket_directory(spec, Layout(home, spec.place).sockets) / "mysql.sock"


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True)


def _pipe(first: list[Any], second: list[Any]) -> None:
    with subprocess.Popen([str(word) for word in first], stdout=subprocess.PIPE) as one:
        subprocess.run([str(word) for word in second], stdin=one.stdout, check=True)
    if one.returncode:
        raise SystemExit(f"{first[0]} ended with {one.returncode}")


def _quiet() -> Watch:
    return Watch(output=lambda _: None)


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[Home]:
    """A home below the folder, with a supervisord; environments share the host's network."""
    root = Path(tempfile.mkdtemp(prefix="sb-", dir=folder))
    home = Home(root)
    for path in (root, root / "snapshots", root / "scratch", root / "templates", root / "backups", home.run):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)
        give_away(path)
    home.network.write_text("shared\nfor the benchmark\n")
    options = {"location": home.backups, "base_url": None}
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": options}
    supervisor = start_supervisor(home)
    try:
        with override_settings(HOME=home, STORAGES=settings.STORAGES | {"backups": backend}):
            yield home
    finally:
        stop_supervisor(supervisor)
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
