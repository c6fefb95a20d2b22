import pytest

from environments import variable_checks
from environments.variables import MAX_BYTES, Variable
from portal.errors import Invalid


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("env:api_url", "env:API_URL"),
        (" ENV:X1 ", "env:X1"),
        ("theme:color", "theme:color"),
        ("drupalsettings:system.site:name", "drupalsettings:system.site:name"),
        ("php:memory_limit", "php:memory_limit"),
    ],
)
def test_names_are_kept_in_one_form(given: str, kept: str) -> None:
    assert variable_checks.name(given) == kept


@pytest.mark.parametrize(
    "given",
    [
        *("", "  ", "API_URL", "env:", ":x", "env:1X", "env:A B", "env:A=B", "env:A\nB", "env:É", "env:a-b"),
        *("a b:c", "theme:c d", "theme:'", "theme:\0", "theme:\u202e", "php:a[b", "php:1x", "env:PORT", "env:A\0"),
        *("env:" + "A" * 300, "env:PLATFORM_ROUTES", "env:magento_cloud_relationships", "../x:y", "{{x}}:y"),
        *("env:$(id)", "\u200benv:X", "\u202eenv:X"),
    ],
)
def test_awkward_names_are_refused_with_what_would_be_right(given: str) -> None:
    with pytest.raises(Invalid) as refusal:
        variable_checks.name(given)
    assert refusal.value.field == "name"
    assert len(refusal.value.message) < 250


def test_values_of_every_kind_are_taken_as_they_are() -> None:
    text = "  a'\"\\ $(id) `x` #\n\t{{ y }} é 😀 \u202e"
    assert variable_checks.value("env:A", text, is_json=False) == text
    assert variable_checks.value("env:A", '{"a": [1, null]}', is_json=True) == {"a": [1, None]}


def test_a_value_of_a_megabyte_is_refused_with_the_real_limit() -> None:
    with pytest.raises(Invalid, match=f"{MAX_BYTES:,}"):
        variable_checks.value("env:A", "x" * 1024**2, is_json=False)
    exact = "x" * (MAX_BYTES - len("A="))
    assert variable_checks.value("env:A", exact, is_json=False) == exact
    with pytest.raises(Invalid):
        variable_checks.value("env:A", f"{exact}x", is_json=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1,\n  "b": }', "line 2, column 8"),
        ("", "line 1, column 1"),
        ("NaN", "NaN"),
        ("[" * 200 + "]" * 200, "100 levels"),
        ("[" * 100_000, "levels"),
        ('"\\ud800"', "half of a character"),
        ("1" * 5000, "not JSON"),
    ],
)
def test_broken_json_is_refused_with_line_and_column(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        variable_checks.value("a:b", text, is_json=True)


def test_nul_and_halves_of_characters_are_refused() -> None:
    for text in ("a\0b", "\ud800"):
        with pytest.raises(Invalid):
            variable_checks.value("env:A", text, is_json=False)


def test_what_no_program_could_be_started_with_is_refused() -> None:
    half = "x" * (MAX_BYTES // 2)
    two = [Variable("a:b", half), Variable("a:c", half)]
    with pytest.raises(Invalid, match="PLATFORM_VARIABLES"):
        variable_checks.together(two)
    variable_checks.together([Variable("env:B", half), Variable("env:C", half)])
    variable_checks.together([Variable("a:b", half), Variable("a:c", half, is_enabled=False)])
    with pytest.raises(Invalid, match="programs get takes"):
        variable_checks.together([Variable(f"env:A{n}", half) for n in range(20)])
