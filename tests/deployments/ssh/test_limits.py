from deployments.ssh import limits
from deployments.ssh.limits import Limits


def test_one_address_cannot_take_the_places_of_all() -> None:
    doors = Limits()
    for _ in range(limits.MAX_WAITING_PER_ADDRESS):
        assert doors.refusal("10.0.0.1", 0) is None
        doors.enter("10.0.0.1")
    assert doors.refusal("10.0.0.1", 0) is not None
    assert doors.refusal("10.0.0.2", 0) is None
    doors.leave("10.0.0.1", None)
    assert doors.refusal("10.0.0.1", 0) is None


def test_all_addresses_together_have_a_limit() -> None:
    doors = Limits()
    for number in range(limits.MAX_WAITING):
        doors.enter(f"10.0.0.{number}")
    assert doors.refusal("10.1.0.1", 0) == "too many connections"


def test_failures_close_the_door_for_a_minute() -> None:
    doors = Limits()
    for second in range(limits.MAX_FAILURES):
        assert doors.refusal("10.0.0.1", second) is None
        doors.fail("10.0.0.1", second)
    assert doors.refusal("10.0.0.1", 31) is not None
    assert doors.refusal("10.0.0.2", 31) is None
    assert doors.refusal("10.0.0.1", 61) is None
    doors.forget(200)
    assert doors == Limits()


def test_a_person_has_a_number_of_connections() -> None:
    doors = Limits()
    for _ in range(limits.MAX_PER_PERSON):
        doors.enter("10.0.0.1")
        assert doors.sign_in("10.0.0.1", 7)
    doors.enter("10.0.0.1")
    assert not doors.sign_in("10.0.0.1", 7)
    assert doors.sign_in("10.0.0.1", 8)
    for _ in range(limits.MAX_PER_PERSON + 1):
        doors.leave("10.0.0.1", 7)
    assert doors.sign_in("10.0.0.1", 7)
