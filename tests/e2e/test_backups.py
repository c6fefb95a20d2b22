"""A backup of a running instance: made by its button, proven, gone back to, carried elsewhere, downloaded, damaged."""

import hashlib
import io
import json
import tarfile

import pytest

from tests.e2e.ground import FINAL, Ground, prepare
from tests.e2e.instance import wait_for

pytestmark = pytest.mark.e2e

# Keeps one word in its database and one in its mount: / shows both, /to/WORD sets both.
SERVER = r"""
import base64, http.server, json, os, pathlib, subprocess

database = json.loads(base64.b64decode(os.environ["PLATFORM_RELATIONSHIPS"]))["database"][0]
note = pathlib.Path("notes/word.txt")

def sql(text):
    there = ["-h", database["host"], "-P", str(database["port"]), "-u", database["username"], database["path"]]
    env = os.environ | {"MYSQL_PWD": database["password"]}
    return subprocess.run(["mysql", "-N", *there], env=env, input=text, text=True, check=True, stdout=-1).stdout

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/to/"):
            word = self.path[4:]
            sql(f"CREATE TABLE IF NOT EXISTS words (word TEXT); DELETE FROM words; INSERT INTO words VALUES ('{word}')")
            note.write_text(word)
        self.send_response(200)
        self.end_headers()
        if self.path != "/":
            return
        there = "words" in sql("SHOW TABLES")
        row = sql("SELECT word FROM words").strip() if there else "-"
        self.wfile.write(f"{row} {note.read_text() if note.exists() else '-'}".encode())

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""
MORE = """disk: 256
mounts:
    notes: {source: local, source_path: notes}
relationships: {database: "db:mysql"}
"""
SERVICES = "db:\n    type: mariadb:10.11\n    disk: 256\n"


class Kept:
    """An environment with data, on its page."""

    def __init__(self, ground: Ground) -> None:
        self.ground, self.instance, self.person = ground, ground.instance, ground.person
        self.page = f"/projects/{ground.project}/environments/{ground.branch}/"

    def set(self, word: str) -> None:
        assert self.person.get(f"{self.ground.url}to/{word}").status_code == 200
        assert self.word == f"{word} {word}"

    @property
    def word(self) -> str:
        return self.ground.serves()

    def ask(self, door: str, wanted: str = "succeeded", **form: str) -> dict[str, str]:
        """Press; the activity that came of it, once it has ended."""
        answer = self.person.post(f"{self.page}{door}", form)
        assert answer.status_code == 302, answer.text
        id = answer.headers["location"].strip("/").rpartition("/")[2]
        sql = "SELECT * FROM deployments_activity WHERE id = ?"
        wait_for("its end", lambda: self.instance.rows(sql, id)[0]["state"] in FINAL, 120)
        row = dict(self.instance.rows(sql, id)[0])
        assert row["state"] == wanted, row["outcome"]
        return row

    def backups(self) -> list[dict[str, str]]:
        sql = "SELECT b.* FROM deployments_backup b JOIN environments_environment e ON e.id = b.environment_id "
        return [
            dict(row) for row in self.instance.rows(f"{sql} WHERE e.name = ? ORDER BY b.created_at", self.ground.branch)
        ]


@pytest.fixture(scope="module")
def kept(ground: Ground) -> Kept:
    mine = prepare(ground.instance, ground.person, ground.project, "kept")
    (mine.checkout / ".platform").mkdir(exist_ok=True)
    (mine.checkout / ".platform" / "services.yaml").write_text(SERVICES)
    push = mine.push(server=SERVER, more=MORE)
    assert push.row["state"] == "succeeded", push.output
    return Kept(mine)


@pytest.fixture(scope="module")
def backup(kept: Kept) -> dict[str, str]:
    """Of the word "first", made by the button."""
    kept.set("first")
    assert f'action="{kept.page}backups/new"' in kept.person.get(f"{kept.page}backups/").text
    kept.ask("backups/new", note="The good one")
    return kept.backups()[0]


def test_a_backup_is_made_by_its_button_and_proven(kept: Kept, backup: dict[str, str]) -> None:
    assert (backup["state"], backup["proof"], backup["note"]) == ("stored", "proven", "The good one")
    text = kept.person.get(f"{kept.page}backups/").text
    assert "The good one" in text
    assert "Last proven backup" in text
    assert backup["proof_note"] == "1 table with 1 row in db, 1 file"


def test_it_is_restored_in_place_and_what_was_there_is_kept(kept: Kept, backup: dict[str, str]) -> None:
    kept.set("second")
    form = {"into": kept.ground.branch, "name": kept.ground.branch, "code": "on", "safety": "on"}
    kept.ask(f"backups/{backup['id']}/restore", **form)
    assert kept.word == "first first"
    safety = kept.backups()[-1]
    assert (safety["reason"], safety["state"]) == ("safety", "stored")
    kept.ask(f"backups/{safety['id']}/restore", into=kept.ground.branch, name=kept.ground.branch, code="on")
    assert kept.word == "second second"  # and there is a way back from the way back


def test_it_is_restored_into_another_environment(kept: Kept, backup: dict[str, str]) -> None:
    answer = kept.person.post(f"{kept.page}branch", {"branch": "beside", "title": "Beside", "parent": "kept"})
    assert answer.status_code == 302, answer.text
    there = "SELECT id FROM environments_environment WHERE project_id = ? AND branch = 'beside'"
    wait_for("the branch", lambda: kept.instance.rows(there, kept.ground.project), 60)
    kept.ask(f"backups/{backup['id']}/restore", into="beside", name="beside", code="on")
    beside = Ground(kept.instance, kept.person, kept.ground.project, kept.ground.checkout, "beside")
    assert beside.serves() == "first first"
    assert kept.word == "second second"


def test_its_download_is_whole_by_the_checksums_it_states(kept: Kept, backup: dict[str, str]) -> None:
    answer = kept.person.get(f"{kept.page}backups/{backup['id']}/download")
    assert answer.status_code == 200
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        found = {name.rpartition("/")[2]: tar.extractfile(name) for name in tar.getnames()}
        files = {name: file.read() for name, file in found.items() if file is not None}
    assert hashlib.sha256(files["manifest.json"]).hexdigest() == backup["manifest"]
    parts = json.loads(files["manifest.json"])["parts"]
    assert {part["name"] for part in parts} >= {"db"}
    assert {part["file"]: part["sha256"] for part in parts} == {
        name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "manifest.json"
    }


def test_a_file_that_was_cut_short_is_loud_and_refused(kept: Kept, backup: dict[str, str]) -> None:
    folder = kept.instance.home / "backups" / kept.ground.project / backup["id"]
    file = sorted(folder.glob("part-*"))[0]
    whole = file.read_bytes()
    look = "from deployments.pipeline import backup_rounds; backup_rounds.look()"
    kept.set("third")
    form = {"into": kept.ground.branch, "name": kept.ground.branch, "code": "on"}
    try:
        file.write_bytes(whole[:-7])
        failed = kept.ask(f"backups/{backup['id']}/restore", **form, wanted="failed")  # before anybody looked at it
        assert failed["error_id"] == "backup-damaged"
        kept.instance.shell(look)
        alarm = "1 backup of kept cannot be relied on"
        assert alarm in kept.instance.wrong()
        for page in ("", "backups/"):
            assert alarm in kept.person.get(f"{kept.page}{page}").text
        answer = kept.person.post(f"{kept.page}backups/{backup['id']}/restore", form)
        assert answer.status_code == 400
        assert "or are not whole any more" in answer.text
        assert kept.word == "third third"
    finally:
        file.write_bytes(whole)
        kept.instance.shell(look)
