import os
from pathlib import Path

import pytest

from environments.manifest import DictSource, FolderSource, ManifestError, Source, load

from .make import APP, problem, refused


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "api").mkdir(parents=True)
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("secret")
    (root / ".platform.app.yaml").write_text(APP)
    (root / "api" / "note.txt").write_text("hello")
    (tmp_path / "outside.yaml").write_text("secret: true")
    return root


def test_a_folder_and_a_dictionary_read_the_same(folder: Path) -> None:
    sources: list[Source] = [FolderSource(folder), DictSource({".platform.app.yaml": APP, "api/note.txt": "hello"})]
    for source in sources:
        assert sorted(source.files()) == [".platform.app.yaml", "api/note.txt"]
        assert source.read("api/note.txt") == b"hello"
        assert source.read("api/none.txt") is None
        assert source.read("api") is None
        assert load(source).app("app").name == "app"


@pytest.mark.parametrize(
    "path",
    ["../outside.yaml", "/etc/passwd", "api/../../outside.yaml", ".git/config", "", ".", "a\0b", "api//note.txt"],
)
def test_a_folder_is_not_left(folder: Path, path: str) -> None:
    assert FolderSource(folder).read(path) is None


def test_symbolic_links_are_refused(folder: Path) -> None:
    (folder / "link.yaml").symlink_to("../outside.yaml")
    (folder / "up").symlink_to("..")
    source = FolderSource(folder)
    for path in ("link.yaml", "up/outside.yaml"):
        with pytest.raises(ManifestError, match="symbolic link"):
            source.read(path)
    assert {"link.yaml", "up"} <= set(source.files())


def test_a_manifest_that_is_a_symbolic_link_is_named(folder: Path) -> None:
    (folder / ".platform.app.yaml").unlink()
    (folder / ".platform.app.yaml").symlink_to("../outside.yaml")
    problems = refused_folder(folder)
    assert problems[0].startswith(".platform.app.yaml: This is a symbolic link")


def refused_folder(folder: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        load(FolderSource(folder))
    return [str(found) for found in caught.value.problems]


def test_pipes_and_devices_are_not_files(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    assert FolderSource(folder).read("pipe.yaml") is None


def test_large_files_are_refused_before_they_are_read(folder: Path) -> None:
    with (folder / "large.yaml").open("wb") as file:
        file.truncate(10 * 1024**3)
    with pytest.raises(ManifestError, match="10737418240 bytes"):
        FolderSource(folder).read("large.yaml")


# -- !include and !archive --------------------------------------------------------------------------------------------


def test_an_include_is_looked_up_beside_the_file() -> None:
    files = {
        "api/.platform.app.yaml": "name: api\ntype: php:8.2\nhooks: !include hooks.yaml\n",
        "api/hooks.yaml": "build: !include {type: string, path: scripts/build.sh}\n",
        "api/scripts/build.sh": "set -e\nmake\n",
    }
    assert load(DictSource(files)).app("api").hooks.build == "set -e\nmake\n"


def test_an_include_is_looked_up_in_the_source_root_too() -> None:
    files = {
        ".platform/applications.yaml": """
- name: api
  type: php:8.2
  source: {root: back/api}
  hooks: {build: !include {type: string, path: build.sh}}
- !include web.app.yaml
- !include ../front/app.yaml
""",
        "back/api/build.sh": "make api",
        ".platform/web.app.yaml": "name: web\ntype: php:8.2",
        "front/app.yaml": "name: front\ntype: php:8.2\nhooks: {build: !include {type: string, path: b.sh}}",
        "front/b.sh": "make front",
    }
    manifest = load(DictSource(files))
    assert [app.hooks.build for app in manifest.apps] == ["make api", None, "make front"]


def test_binary_files_are_included_in_base64() -> None:
    manifest = load(
        DictSource(
            {
                ".platform.app.yaml": APP + "variables: {env: {KEY: !include {type: binary, path: key}}}",
                "key": b"\xff\x00",
            }
        )
    )
    assert manifest.app("app").variables["env"]["KEY"] == "/wA="


def test_an_error_in_an_included_file_names_that_file() -> None:
    files = {
        ".platform.app.yaml": APP + "web: !include web.yaml\n",
        "web.yaml": "locations:\n  /:\n    expires: soon\n",
    }
    (found,) = refused(DictSource(files))
    assert (found.file, found.line, found.key) == ("web.yaml", 3, "web.locations./.expires")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", ".git/config", "''"])
def test_an_include_cannot_leave_the_repository(path: str) -> None:
    found = problem(f"web: !include {path}\n")
    assert found.line == 3
    assert "leads out of the repository" in found.message


def test_an_include_that_is_not_there_is_named() -> None:
    found = problem("web: !include web.yaml\n")
    assert 'There is no file "web.yaml" to include' in found.message


@pytest.mark.parametrize("text", ["{type: json, path: a}", "{path: [a]}", "{type: string}", "[a]", "{path: a, x: 1}"])
def test_an_include_that_is_not_understood_shows_its_forms(text: str) -> None:
    found = problem(f"web: !include {text}\n")
    assert "type: yaml | string | binary" in found.allowed


def test_files_that_include_each_other_are_refused() -> None:
    (found,) = refused(DictSource({".platform.app.yaml": "!include a.yaml", "a.yaml": "!include .platform.app.yaml"}))
    assert "including itself" in found.message


def test_text_that_is_not_utf8_must_be_included_as_binary() -> None:
    text = APP + "hooks: {build: !include {type: string, path: b}}"
    files: dict[str, bytes | str] = {".platform.app.yaml": text, "b": b"\xff"}
    assert "type: binary" in refused(DictSource(files))[0].message


def test_an_archive_names_its_folder() -> None:
    files = {
        ".platform.app.yaml": APP,
        ".platform/services.yaml": """
search:
    type: solr:9.2
    disk: 1024
    configuration:
        configsets: {main: !archive "solr/conf"}
        cores: {first: {conf_dir: {}}}
        endpoints: {main: {core: first}}
""",
        ".platform/solr/conf/solrconfig.xml": "<config/>",
    }
    service = load(DictSource(files)).services["search"]
    assert service.configuration["configsets"]["main"] == {"archive": ".platform/solr/conf"}
    assert service.endpoints()["main"].path == "first"
    assert service.schemas() == ("first",)
    del files[".platform/solr/conf/solrconfig.xml"]
    assert "no folder" in refused(DictSource(files))[0].message
