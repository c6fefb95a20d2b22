from deployments.actions import possible
from deployments.actions.activities import NEEDED
from deployments.enums import Kind


def test_every_kind_that_is_asked_for_has_a_rule_and_a_right() -> None:
    assert set(possible._RULES) == set(NEEDED) == set(Kind) - {Kind.PROJECT_CREATE, Kind.PUSH}
