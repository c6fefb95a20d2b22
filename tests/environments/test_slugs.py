from collections.abc import Mapping
from typing import Any

import pytest

from environments.manifest import App, DictSource, load
from environments.slugs import config_id, slug_id

BASE = {
    "type": "'python:3.11'",
    "hooks": "{build: make, deploy: migrate}",
    "mounts": "{var: {source: tmp}}",
    "dependencies": "{python3: {pipenv: '*'}}",
    "variables": "{env: {A: b}}",
    "web": "{commands: {start: run}}",
}


def app(**changed: str) -> App:
    text = "name: app\n" + "".join(f"{key}: {value}\n" for key, value in {**BASE, **changed}.items())
    return load(DictSource({".platform.app.yaml": text, ".platform/services.yaml": "db: {type: 'redis:7.0'}"})).apps[0]


def identity(seen: Mapping[str, Any] | None = None, /, **changed: str) -> str:
    return config_id(app(**changed), seen or {})


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "'python:3.12'"},
        {"build": "{flavor: default}"},
        {"build": "{caches: {pip: {directory: .pip}}}"},
        {"hooks": "{build: make all, deploy: migrate}"},
        {"mounts": "{var: {source: tmp}, log: {source: tmp}}"},
        {"workers": "{w: {commands: {start: a}, mounts: {other: {source: tmp}}}}"},
        {"dependencies": "{python3: {pipenv: '1'}}"},
        {"variables": "{env: {A: c}}"},
        {"runtime": "{extensions: [apcu]}"},
        {"source": "{root: api}"},
    ],
)
def test_what_can_change_a_build_changes_its_identity(changed: dict[str, str]) -> None:
    assert identity(**changed) != identity()


@pytest.mark.parametrize(
    "changed",
    [
        {"hooks": "{build: make, deploy: other, post_deploy: warm}"},
        {"relationships": "{cache: 'db:redis'}"},
        {"crons": "{a: {spec: '0 * * * *', cmd: x}}"},
        {"web": "{commands: {start: other}, locations: {/: {expires: 5m}}}"},
        {"workers": "{w: {commands: {start: a}}}"},
        {"access": "{ssh: admin}"},
        {"size": "L"},
        {"disk": "512"},
        {"timezone": "Europe/Paris"},
        {"mounts": "{/var/: {source: tmp, source_path: other}}"},
    ],
)
def test_what_cannot_change_a_build_leaves_its_identity(changed: dict[str, str]) -> None:
    assert identity(**changed) == identity()


def test_variables_that_the_build_sees_are_part_of_its_identity() -> None:
    assert identity({"env:REBUILD_DATE": "1"}) != identity({"env:REBUILD_DATE": "2"})
    assert identity({"env:A": "1", "env:B": [1]}) == identity({"env:B": [1], "env:A": "1"})


def test_a_slug_is_named_by_its_parts() -> None:
    tree, config = "4b825dc642cb6eb9a060e54bf8d69288fbee4904", identity()
    assert slug_id("abcdefghijklm", "app", tree, config) == f"abcdefghijklm-app-{tree}-{config}"


@pytest.mark.parametrize(
    ("project", "name", "tree", "config"),
    [
        ("../x", "app", "0" * 40, "0" * 16),
        ("abc", "../app", "0" * 40, "0" * 16),
        ("abc", "app", "HEAD", "0" * 16),
        ("abc", "app", "0" * 40, "x" * 16),
        ("abc", "app\n", "0" * 40, "0" * 16),
    ],
)
def test_other_parts_name_no_slug(project: str, name: str, tree: str, config: str) -> None:
    with pytest.raises(ValueError, match="do not name a slug"):
        slug_id(project, name, tree, config)
