"""What Production's nginx pays for being able to ask about visitors while it need not: the same small file, with the
question (a look at a file and a subrequest that ends at once) and with that taken out of the same configuration.

    python -m benchmarks.visitors

Both nginx run side by side on one configuration as a release gets it; their rounds take turns. Requests are pipelined
on one connection, so the client costs little.
"""

import re
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from environments.manifest import load
from environments.manifest.source import DictSource
from environments.routing import resolve
from environments.runtimes.base import Place, ReleaseSpec
from environments.runtimes.local import nginx

_HOST = "main-abcdefg-projectid0000.localhost"
_APP = b"name: app\ntype: 'python:3.11'\nweb: {locations: {'/': {root: public}}}\n"
_REQUESTS, _BATCH, _ROUNDS = 4000, 50, 15


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="visitors-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx started by root serves as another user
        (folder / "files" / "public").mkdir(parents=True)
        (folder / "files" / "public" / "a.txt").write_text("a small file\n" * 20)
        (folder / "fastcgi.conf").write_text(nginx.FASTCGI)
        asking = _config(folder)
        plain = re.sub(r"(?m)^\s*auth_request /.*\n", "", asking)
        plain = re.sub(r"if \(-f [^{]*\{[^}]*\}", "", plain)
        found = {name: _Nginx(folder, name, text) for name, text in (("asking", asking), ("plain", plain))}
        try:
            rates: dict[str, list[float]] = {name: [] for name in found}
            for _ in range(_ROUNDS):
                for name, server in found.items():
                    rates[name].append(server.rate())
        finally:
            for server in found.values():
                server.stop()
    middle = {name: statistics.median(each) for name, each in rates.items()}
    for name, rate in middle.items():
        print(f"  {name:8} {rate:8.0f} requests/s (median of {_ROUNDS})")
    print(f"HTTP access that is off costs Production {1 - middle['asking'] / middle['plain']:.1%} of nginx's rate")


def _config(folder: Path) -> str:
    manifest = load(DictSource({".platform.app.yaml": _APP}))
    release = ReleaseSpec(
        place=Place("projectid0000", "main-abcdefg", 1),
        number=1,
        programs=[],
        routes=resolve(manifest, default_host=_HOST),
        hosts={},
        public=True,
        portal_url="http://localhost:8000",
    )
    site = nginx.Site(manifest.apps[0], 0, str(folder / "files"), "app0")
    return nginx.write(release, {"app": site}, [nginx.Upstream("app0", ["127.0.0.1:9 max_fails=0"])])


class _Nginx:
    def __init__(self, folder: Path, name: str, text: str) -> None:
        own = folder / name
        own.mkdir()
        self._socket = own / "front.sock"
        config = own / "nginx.conf"
        places = {
            " /tmp/": f" {own}/",
            nginx.SOCKETS: str(own),
            nginx.MARKS: str(own),
            " /nginx/fastcgi.conf": f" {folder}/fastcgi.conf",
            " /nginx/mime.types": " /etc/nginx/mime.types",
        }
        for inside, outside in places.items():
            text = text.replace(inside, outside)
        config.write_text(text)
        self._log = open(own / "log", "wb")  # noqa: SIM115
        command = ["nginx", "-e", "stderr", "-p", str(own), "-c", str(config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._log)
        for _ in range(100):
            if self._socket.exists():
                break
            assert self._process.poll() is None, (own / "log").read_text()
            time.sleep(0.05)
        assert b"200 OK" in self._ask(1), (own / "log").read_text()

    def rate(self) -> float:
        began = time.perf_counter()
        self._ask(_REQUESTS)
        return _REQUESTS / (time.perf_counter() - began)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()

    def _ask(self, count: int) -> bytes:
        request = f"GET /a.txt HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode()
        seen, last = 0, b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self._socket))
            while seen < count:
                batch = min(_BATCH, count - seen, 1000 - seen % 1000)
                connection.sendall(request * batch)
                end = seen + batch
                while seen < end:
                    last = connection.recv(262144)
                    seen += last.count(b"HTTP/1.1 ")
                if seen % 1000 == 0 and seen < count:  # nginx ends a connection after that many
                    connection.close()
                    connection = socket.socket(socket.AF_UNIX)
                    connection.connect(str(self._socket))
        return last


if __name__ == "__main__":
    main()
