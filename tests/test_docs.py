"""What the documents promise to list in full, compared with the code."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_ID = r"""(?:Failure|RuntimeFailure|Reason)\(\s*f?"([a-z{}_.-]+)\""""
_READ = r"""env\.\w+\("((?:SLIPWAY_)[A-Z_]+)\""""
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "fake.py":
                yield path.read_text()


def test_every_stable_id_of_a_failure_is_explained_to_users() -> None:
    text = (ROOT / "docs" / "using.md").read_text()
    found = {name for source in sources("environments", "deployments") for name in re.findall(_ID, source)}
    plain = {name for name in found if "{" not in name}
    assert "probe-failed" in plain
    assert "service-not-ready" in plain
    assert [name for name in sorted(plain) if f"`{name}`" not in text and not name.startswith("runtime-")] == [
        "cancelled"
    ]


def test_every_setting_is_explained_to_operators() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    names = set(re.findall(_READ, (ROOT / "portal" / "settings.py").read_text()))
    names |= set(re.findall(r'"(SLIPWAY_[A-Z_]+)"', (ROOT / "launcher" / "settings.py").read_text()))
    assert "SLIPWAY_BUILD_TIMEOUT" in names
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def test_links_between_documents_lead_somewhere() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        for target in _LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_decision_is_in_the_list() -> None:
    listed = (ROOT / "docs" / "adr" / "README.md").read_text()
    assert all(f"({path.name})" in listed for path in (ROOT / "docs" / "adr").glob("0*.md"))
