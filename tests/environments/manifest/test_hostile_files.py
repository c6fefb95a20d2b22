"""Files that are broken, or made to harm whoever reads them: each ends quickly, with an error that names its line."""

import itertools
import string
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from environments.manifest import DictSource, ManifestError, load

from .make import APP, problem, refused, source
from .test_real_repositories import MAGENTO, MAGENTO_ROUTES, MAGENTO_SERVICES

LIMIT = 20.0  # seconds of this process: no speed is asserted; what is not refused in time takes hours


def doubling(template: str, first: str) -> str:
    """Each anchor holds the one before it nine times."""
    letters = string.ascii_lowercase
    lines = [f"a: &a {first}"]
    lines += [template.format(name=now, old=", ".join([f"*{last}"] * 9)) for last, now in itertools.pairwise(letters)]
    return "\n".join(lines)


BOMBS = {
    "aliases": doubling("{name}: &{name} [{old}]", "[x]"),
    "merges": doubling("{name}: &{name} {{<<: [{old}]}}", "{x: 1}"),
    "long text": "a: &a " + "x" * 900_000 + "\nb: [" + ", ".join(["*a"] * 20_000) + "]",
    "flow depth": "a: " + "[" * 300_000,
    "mapping depth": "{a: " * 200_000,
    "block depth": "- " * 300_000,
    "indented depth": "".join(" " * level + "a:\n" for level in range(1400)),
    "keys": "".join(f"k{index}: 1\n" for index in range(90_000)),
    "size": "a: " + "x" * 50_000_000,
    "long key": "? " + "x" * 900_000 + "\n: 1\n",
    "mounts": APP + "mounts: {" + ", ".join(f"'m{n}/{n}': {{source: tmp}}" for n in range(20_000)) + "}",
    "deep mounts": APP + "mounts: {" + ", ".join(f"'{'a/' * 60}{n}': {{source: tmp}}" for n in range(6000)) + "}",
    "relationships": APP + "relationships: {" + ", ".join(f"r{n}: 's{n}:x'" for n in range(900)) + "}",
    "crons": APP + "crons: {" + ", ".join(f"c{n}: {{spec: '* * * * *', cmd: x}}" for n in range(20_000)) + "}",
    "patterns": APP
    + "web: {locations: {/: {rules: {"
    + ", ".join("'" + "(a|b)*" * 160 + f"{n}$': {{allow: true}}" for n in range(900))
    + "}}}}",
    "classes": APP
    + "web: {locations: {/: {rules: {"
    + ", ".join("'(?i)" + "[\\x00-\\uffff]" * 60 + f"{n}$': {{allow: true}}" for n in range(900))
    + "}}}}",
    "nested pattern": APP + "web: {locations: {/: {rules: {'" + "(" * 500 + ")" * 500 + "': {allow: true}}}}}",
    "extensions": APP + "runtime: {extensions: [" + ", ".join(["a"] * 90_000) + "]}",
    "includes": APP + "x: [" + ", ".join(["!include comments.yaml"] * 30_000) + "]",
    "texts": APP + "x: [" + ", ".join(["!include {type: string, path: comments.yaml}"] * 20_000) + "]",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_time(name: str) -> None:
    repository = DictSource({".platform.app.yaml": BOMBS[name], "comments.yaml": "#" * 1_000_000})
    started = time.process_time()
    problems = refused(repository)
    assert time.process_time() - started < LIMIT
    assert len("\n".join(map(str, problems))) < 100_000
    assert all(found.line for found in problems if name != "size")


def test_many_files_are_refused_in_time() -> None:
    files = {f"apps/{number}/.platform.app.yaml": "#" * 1_000_000 for number in range(128)}
    started = time.process_time()
    assert any("MiB together" in found.message for found in refused(DictSource(files)))
    assert time.process_time() - started < LIMIT
    files = {f"apps/{number}/.platform.app.yaml": APP for number in range(129)}
    assert "more than 128 apps" in refused(DictSource(files))[0].message


def test_bombs_stay_small_in_memory() -> None:
    """In a process of its own, as a process never gives its largest size back."""
    script = """
import resource, sys
from environments.manifest import DictSource, ManifestError, load
from tests.environments.manifest.test_hostile_files import BOMBS
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for name in ("aliases", "long text", "keys", "mounts", "extensions", "texts"):
    try:
        load(DictSource({".platform.app.yaml": BOMBS[name], "comments.yaml": "#" * 1_000_000}))
    except ManifestError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) < 100


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (APP + "name: again\n", 3, "given twice, first on line 1"),
        ("name: app\n\ttype: x\n", 2, "tab"),
        (b"name: app\ntype: caf\xe9\n", 2, "not UTF-8"),
        ("\ufeff".encode("utf-16"), 1, "not UTF-8"),
        (APP + "disk: .nan\n", 3, "not finite"),
        (APP + "disk: .inf\n", 3, "not finite"),
        (APP + "disk: 1.0e+999\n", 3, "not finite"),
        (APP + "disk: " + "9" * 90 + "\n", 3, "too many digits"),
        ("a: &a\n  <<: *a\n", 2, "contains it"),
        ("a: *nowhere\n", 1, "no anchor"),
        ("<<: [1]\n" + APP, 1, "merge key"),
        (APP + "x: !!python/object/apply:os.system [id]\n", 3, "!!python/object/apply:os.system"),
        (APP + "x: !!binary aGVsbG8=\n", 3, "!!binary"),
        (APP + "x: !inclde a.yaml\n", 3, 'Did you mean "!include"?'),
        (APP + "on: 1\n", 3, "true or false, not as text"),
        (APP + "12: 1\n", 3, "a number, not as text"),
        (APP + "~: 1\n", 3, "an empty value, not as text"),
        (APP + "2024-01-01: 1\n", 3, "a date, not as text"),
        (APP + "[a, b]: 1\n", 3, "A key must be text"),
        (APP + "? {a: b}\n: 1\n", 3, "A key must be text"),
        (APP + "a: b: c\n", 3, "not valid YAML"),
        (APP + "x: 'open\n", 3, "not valid YAML"),
        (APP + "x: {a: [b}\n", 3, "not valid YAML"),
        (APP + "x: \0\n", 3, "control character"),
        (APP + "---\nname: b\n", 3, "second document"),
        ("[]", 1, "must be a mapping"),
        ("hello", 1, "must be a mapping"),
        ("%FOO bar\n---\n" + APP, 1, "not valid YAML"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str | bytes, line: int, words: str) -> None:
    found = problem(text, head="")
    assert found.file == ".platform.app.yaml"
    assert found.line == line
    assert words in found.message


@pytest.mark.parametrize("text", ["", "~", "# nothing\n", "---\n", "---\n...\n"])
def test_an_empty_file_says_what_it_needs(text: str) -> None:
    found = problem(text, head="")
    assert found.message == "The file is empty."
    assert "name" in found.allowed


def test_the_same_key_twice_is_found_below_too() -> None:
    found = problem("hooks:\n  build: a\n  deploy: b\n  build: c\n")
    assert (found.line, found.key) == (6, "build")
    assert "first on line 4" in found.message


def test_a_key_that_overrides_a_merged_one_is_not_given_twice() -> None:
    manifest = load(source("size: M\nworkers:\n  a: &a {size: L, commands: {start: a}}\n  b: {<<: *a, size: S}\n"))
    assert manifest.app("app").workers["a"].size == "L"
    assert manifest.app("app").workers["b"].size == "S"


def test_text_of_strangers_is_shown_harmless() -> None:
    found = problem("\u202e\u200bname: x\n")
    assert "\u202e" not in str(found)
    assert "\\u202e\\u200bname" in str(found)
    long = problem("k" * 1000 + ": 1\n")
    assert len(str(long)) < 1000


def test_problems_of_several_files_come_together() -> None:
    problems = refused(
        source(
            "disc: 5\ncrons: {a: {spec: '* *', cmd: x}}\n",
            services="db: {type: 'mariadbb:1'}\nother: [1\n",
            routes="https://{defaul}/: {type: upstream, upstream: 'app:http'}\n",
        )
    )
    assert [found.file for found in problems] == [
        ".platform.app.yaml",
        ".platform.app.yaml",
        ".platform/services.yaml",
        ".platform/routes.yaml",
    ]


def test_names_in_a_file_that_cannot_be_read_are_not_missed_elsewhere() -> None:
    problems = refused(source("relationships: {db: 'db:mysql'}\n", services="db: {type: [}\n"))
    assert [found.file for found in problems] == [".platform/services.yaml"]


def test_no_more_than_fifty_problems_are_listed() -> None:
    assert len(refused(source("".join(f"key{number}: 1\n" for number in range(200))))) == 50


def test_a_repository_without_a_manifest_is_told_what_to_add() -> None:
    for files in (
        {},
        {"README.md": "x"},
        {".platform/services.yaml": "db: {type: 'redis:7'}"},
        {"a.platform.app.yaml": APP},
    ):
        found = refused(DictSource(files))
        assert len(found) == 1
        assert "Add .platform.app.yaml" in found[0].message
    example_text = found[0].message.partition(":\n")[2]
    assert load(DictSource({".platform.app.yaml": example_text})).apps[0].name == "app"


# -- whatever is in the file, only ManifestError comes out ------------------------------------------------------------

_scalars = st.one_of(
    st.text(max_size=12),
    st.integers(),
    st.booleans(),
    st.none(),
    st.floats(),
    st.sampled_from(
        ["*/5 * * * *", "../x", "/", "a:b", "$1", "(", "{default}", "shared:files/x", "php:8.2", "mysql:10"]
    ),
)
_WORDS = """
    name type disk size mounts relationships web locations / rules passthru commands start workers crons
    spec cmd hooks build dependencies php runtime extensions variables env access ssh source root
    operations firewall outbound stack expires headers service endpoint source_path upstream to
    redirects paths regexp cache configuration endpoints schemas privileges whitelist document_root
    timezone additional_hosts https://{default}/ db app
"""
_keys = st.sampled_from(_WORDS.split())
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_keys, inner, max_size=5)),
    max_leaves=25,
)
_quick = settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


def _only_manifest_errors(files: dict[str, bytes | str]) -> None:
    try:
        manifest = load(DictSource(files))
    except ManifestError as error:
        refusal = error
    else:
        for app in manifest.apps:
            app.public_config(build=False)
            app.build_config()
        return
    assert refusal.problems
    assert str(refusal)


@_quick
@given(st.binary(max_size=300))
@example(b"\xff\xfe")
@example(b"!")
@example(b"? !<x> &a *a")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    _only_manifest_errors({".platform.app.yaml": data})
    _only_manifest_errors({".platform.app.yaml": APP, ".platform/services.yaml": data, ".platform/routes.yaml": data})


@_quick
@given(st.dictionaries(_keys, _values, max_size=8), st.dictionaries(_keys, _values, max_size=3))
def test_any_values_are_read_or_refused(app: dict[str, object], other: dict[str, object]) -> None:
    text = yaml.safe_dump({"name": "app", "type": "php:8.2", **app}, allow_unicode=True)
    rest = yaml.safe_dump(other, allow_unicode=True)
    for central in ("services", "routes", "applications"):
        _only_manifest_errors({".platform.app.yaml": text, f".platform/{central}.yaml": rest})


@_quick
@given(st.data())
def test_a_real_file_with_a_piece_changed_is_read_or_refused(data: st.DataObject) -> None:
    files = {
        ".magento.app.yaml": MAGENTO,
        ".magento/services.yaml": MAGENTO_SERVICES,
        ".magento/routes.yaml": MAGENTO_ROUTES,
    }
    name = data.draw(st.sampled_from(sorted(files)))
    text = files[name]
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start, min(len(text), start + 30)))
    piece = data.draw(st.text(alphabet=string.printable + "\u202e\x00", max_size=8))
    _only_manifest_errors({**files, name: text[:start] + piece + text[end:]})
