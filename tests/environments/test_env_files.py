import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments import env_files
from environments.models import Variable
from portal.errors import Invalid


def row(name: str, text: str, **flags: bool) -> Variable:
    made = Variable(name=name, **flags)
    made.text = text
    return made


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r")), min_size=1, max_size=5))
def test_whatever_is_exported_is_imported_as_it_was(texts: list[str]) -> None:
    rows = [row(f"env:A{number}", text) for number, text in enumerate(texts)]
    found = env_files.read(env_files.write(rows))
    assert [(entry.name, entry.text) for entry in found] == [(each.name, each.text) for each in rows]


def test_flags_and_other_prefixes_survive() -> None:
    rows = [
        row("theme:color", '{"a": 1}', is_json=True, visible_build=True, visible_runtime=False, is_inheritable=False),
        row("env:B", "x"),
    ]
    first, second = env_files.read(env_files.write(rows))
    assert (first.name, first.text) == ("theme:color", '{"a": 1}')
    assert first.flags["is_json"]
    assert first.flags["visible_build"]
    assert not first.flags["visible_runtime"]
    assert not first.flags["is_inheritable"]
    assert second.flags == {**second.flags, "is_json": False, "visible_runtime": True, "visible_build": False}


def test_sensitive_values_are_not_in_the_file() -> None:
    text = env_files.write([row("env:TOKEN", "hush", is_sensitive=True)])
    assert "hush" not in text
    assert "TOKEN" in text
    assert env_files.read(text) == []


def test_nothing_is_interpolated_and_the_last_one_counts() -> None:
    found = env_files.read("export A=$HOME/${B}\r\n\n# a comment\nB='x y' # why\nA=2\n")
    assert {entry.name: entry.text for entry in found} == {"env:A": "2", "env:B": "x y"}
    assert env_files.read("C=${A}")[0].text == "${A}"


def test_lines_that_are_none_are_named() -> None:
    with pytest.raises(Invalid, match=r'line 3: "rubbish"; line 5: "D"'):
        env_files.read("A=1\n\nrubbish\nB=2\nD='unclosed\n")
    with pytest.raises(Invalid, match="larger than 1 MiB"):
        env_files.read("A=" + "x" * 1024**2)
