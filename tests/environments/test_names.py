import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments import names
from portal.errors import Invalid

BAD = [
    "", "-", "--upload-pack=x", "-oProxyCommand=id", "HEAD", "head", "a..b", "a b", "a\nb", "a\0b", "a\x7f", "x" * 300,
    "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a//b", "/a", "a/", "a.", ".a", "a/.b", "a.lock", "a.lock/b", "@{u}",
    "@",
    "refs/heads/x", ";id", "$(id)", "`id`", "a;id", "a$(id)", "a|b", "a'b", 'a"b', "ä", "a\u202eb", "../../x", "a\n",
]  # fmt: skip
GOOD = ["master", "feature/x", "Feature_1.2", "fix-#12", "a", "release/2026.11", "user@team", "x" * 200, "v1+2=3"]


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_branch_is_refused_with_a_reason(name: str) -> None:
    with pytest.raises(Invalid) as caught:
        names.check_branch(name)
    assert caught.value.field == "branch"
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", GOOD)
def test_ordinary_names_are_branches(name: str) -> None:
    assert names.check_branch(name) == name
    assert names.is_branch(name)


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=20))
def test_whatever_is_accepted_git_accepts_too(name: str) -> None:
    if names.is_branch(name):
        assert subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True).returncode == 0


@pytest.mark.parametrize(("branch", "id"), [("Feature/X", "feature-x"), ("a//b", "a-b"), ("master", "master")])
def test_an_environments_id_is_lower_case_without_slashes(branch: str, id: str) -> None:
    assert names.environment_id(branch) == id


@given(st.text(min_size=1, max_size=200))
def test_a_host_is_always_one_dns_label(branch: str) -> None:
    project = "abcdefghijklm"
    label = names.host(names.machine_name(names.environment_id(branch), project), project, "localhost").split(".")[0]
    assert len(label) <= 63
    assert label.strip("-") == label
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_machine_names_differ_between_projects_and_stay_the_same() -> None:
    one = names.machine_name("master", "aaaaaaaaaaaaa")
    assert one == names.machine_name("master", "aaaaaaaaaaaaa")
    assert one != names.machine_name("master", "bbbbbbbbbbbbb")
    assert one.startswith("master-")
