"""Speaking to the instance's supervisord: XML-RPC over its Unix socket."""

import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._seconds = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path, self._seconds)


def supervisor(path: Path, *, timeout: float = 10.0) -> Any:
    """A proxy whose calls raise OSError when nobody answers and xmlrpc.client.Fault when supervisord refuses."""
    return xmlrpc.client.ServerProxy("http://localhost", transport=_Transport(str(path), timeout)).supervisor


def answers(path: Path) -> bool:
    try:
        return bool(supervisor(path, timeout=5.0).getState()["statecode"] == 1)
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return False


def states(path: Path) -> list[dict[str, Any]]:
    """What supervisord says of each process; empty when it does not answer."""
    try:
        return list(supervisor(path).getAllProcessInfo())
    except (OSError, http.client.HTTPException, xmlrpc.client.Error):
        return []


def get(path: Path, url: str, host: str, *, timeout: float = 5.0) -> int:
    """Status of a GET over a Unix socket."""
    connection = _Connection(str(path), timeout)
    try:
        connection.request("GET", url, headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
