import http.server
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from environments import imports, repositories
from environments.imports import ImportFailed
from environments.process import Stopped, TimedOut, Watch
from portal.errors import Invalid

GIT_BACKEND = "/usr/lib/git-core/git-http-backend"


def source(folder: Path, *branches: str, head: str = "main", size: int = 10) -> Path:
    """A bare repository to import, with one commit per branch."""
    bare = folder / "source.git"
    who = {f"GIT_{role}_{what}": "x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"}

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder / "w", env=env, check=True, capture_output=True)

    subprocess.run(["git", "init", "-q", "-b", head, str(folder / "w")], check=True)
    (folder / "w" / "data").write_bytes(os.urandom(size))
    git("add", ".")
    git("commit", "-q", "-m", "First")
    git("tag", "v1")
    for branch in branches:
        git("checkout", "-q", "-b", branch, head)
        git("commit", "-q", "--allow-empty", "-m", branch)
    git("checkout", "-q", head)
    subprocess.run(["git", "clone", "-q", "--mirror", str(folder / "w"), str(bare)], check=True)
    return bare


class Handler(http.server.BaseHTTPRequestHandler):
    """git http-backend, or an answer that the server names."""

    def do_GET(self) -> None:
        self.serve(b"")

    def do_POST(self) -> None:
        self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def serve(self, body: bytes) -> None:
        fixed = self.server.answers.get(self.path.split("/")[1])
        if fixed is not None:
            self.send_response(fixed[0])
            for name, value in fixed[1].items():
                self.send_header(name, value)
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        env = {
            "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "PATH": os.environ["PATH"],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }  # fmt: skip
        out = subprocess.run([GIT_BACKEND], input=body, env=env, capture_output=True).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for name, value in lines if name == "Status"), 200)
        self.send_response(status)
        for name, value in lines:
            if name != "Status":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(rest)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path) -> Iterator[str]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.root = tmp_path
    server.answers = {
        "moved": (301, {"Location": "http://169.254.169.254/x.git/info/refs"}),
        "private": (401, {"WWW-Authenticate": "Basic"}),
        "gone": (404, {}),
    }
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def fetch(url: str, to: Path, lines: list[str] | None = None, **options: Any) -> imports.Imported:
    said = lines if lines is not None else []
    watch = options.pop("watch", None) or Watch(output=lambda data: said.append(data.decode()), total=20)
    defaults = {"known_hosts": to.parent / "known_hosts", "max_bytes": 10**9, "allow_private": True}
    return imports.import_remote(url, to, watch=watch, **(defaults | options))


def test_the_remotes_default_branch_becomes_the_three_branches(tmp_path: Path, host: str) -> None:
    bare = source(tmp_path, "feature/x", "topic")
    lines: list[str] = []
    to = tmp_path / "project.git"
    imported = fetch(f"{host}/{bare.name}", to, lines)
    heads = repositories.branches(to)
    assert set(heads) == {"master", "staging", "production", "feature/x", "topic"}
    assert heads["master"] == heads["staging"] == heads["production"] == imported.commit
    assert dict(repositories.refs(to, "refs/tags/")).keys() == {"v1"}
    assert imported.notes == ["The remote's default branch main is called master here."]
    assert any("feature/x" in line for line in lines)
    assert all(line.endswith("\n") for line in lines)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["project.git", "source.git", "w"]


def test_branches_that_are_in_the_way_are_kept_under_another_name(tmp_path: Path, host: str) -> None:
    bare = source(tmp_path, "master", "staging", "production/old", "weird;name")
    to = tmp_path / "project.git"
    imported = fetch(f"{host}/{bare.name}", to)
    assert set(repositories.branches(to)) == {
        "master", "staging", "production", "imported-master", "imported-staging", "imported-production/old",
    }  # fmt: skip
    assert any("weird;name was left out" in note for note in imported.notes)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("moved/x.git", "redirects"),
        ("private/x.git", "asks for a sign-in"),
        ("gone/x.git", "no such repository"),
        ("nothing.git", "no such repository"),
    ],
)
def test_what_cannot_be_fetched_says_why(tmp_path: Path, host: str, path: str, reason: str) -> None:
    with pytest.raises(ImportFailed, match=reason):
        fetch(f"{host}/{path}", tmp_path / "project.git")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_repository_is_said_to_be_empty(tmp_path: Path, host: str) -> None:
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path / "empty.git")], check=True)
    with pytest.raises(ImportFailed, match="is empty"):
        fetch(f"{host}/empty.git", tmp_path / "project.git")


def test_a_host_that_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "_ASK_SECONDS", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ImportFailed, match="did not answer within 1 seconds"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x.git", tmp_path / "project.git")
    assert list(tmp_path.iterdir()) == []


def test_a_host_that_lists_branches_without_end_is_stopped(
    tmp_path: Path, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source(tmp_path, *(f"branch-{number}" for number in range(20)))
    monkeypatch.setattr(imports, "_MAX_LISTING", 500)
    with pytest.raises(ImportFailed, match="more than 20000 branches and tags"):
        fetch(f"{host}/source.git", tmp_path / "p.git")
    assert not (tmp_path / "p.git").exists()


def test_a_repository_over_the_limit_is_stopped(tmp_path: Path, host: str) -> None:
    bare = source(tmp_path, size=8 * 1024 * 1024)
    to = tmp_path / "project.git"
    with pytest.raises(ImportFailed, match="larger than 1 MiB"):
        fetch(f"{host}/{bare.name}", to, max_bytes=1024 * 1024)
    assert not to.exists()
    assert not list(tmp_path.glob(".project*"))


def test_cancelling_leaves_nothing(tmp_path: Path, host: str) -> None:
    bare = source(tmp_path)
    to = tmp_path / "project.git"
    with pytest.raises((Stopped, TimedOut)):
        fetch(f"{host}/{bare.name}", to, watch=Watch(output=lambda _: None, should_stop=lambda: "cancelled"))
    assert not to.exists()
    assert not list(tmp_path.glob(".project*"))


def test_a_private_address_is_refused_before_anything_is_fetched(tmp_path: Path, host: str) -> None:
    with pytest.raises(Invalid, match=r"http://|private"):
        fetch(f"{host}/x.git", tmp_path / "project.git", allow_private=False)
    with pytest.raises(Invalid, match="private"):
        fetch(host.replace("http", "https") + "/x.git", tmp_path / "project.git", allow_private=False)


def test_what_an_interrupted_attempt_left_is_replaced(tmp_path: Path, host: str) -> None:
    bare = source(tmp_path)
    to = tmp_path / "project.git"
    repositories.init(to)
    assert repositories.head(to, "master") is None
    fetch(f"{host}/{bare.name}", to)
    assert repositories.head(to, "master") is not None
