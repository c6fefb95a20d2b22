import base64
import json
import shlex
from urllib.parse import quote

import pytest

from deployments.redaction import MARK, Redactor

SECRET = "s3cr3t/P@ss+word=9"


@pytest.mark.parametrize(
    "form",
    [SECRET, quote(SECRET, safe=""), quote(SECRET)],
    ids=["plain", "url-encoded", "url-encoded but for slashes"],
)
def test_a_secret_is_found_plain_and_in_urls(form: str) -> None:
    assert Redactor([SECRET]).text(f"+ curl --user me:{form} http://x") == f"+ curl --user me:{MARK} http://x"


def test_a_secret_is_found_in_json_and_in_a_shells_trace() -> None:
    secret = 'it\'s "quoted" \\ and ünïcode'
    for shown in (json.dumps({"k": secret}), json.dumps({"k": secret}, ensure_ascii=False)):
        assert Redactor([secret]).text(shown) == f'{{"k": "{MARK}"}}'
    assert "quoted" not in Redactor([secret]).text("+ mysql " + shlex.quote(secret))


@pytest.mark.parametrize("before", range(6))
def test_a_secret_is_found_in_base64_at_every_alignment(before: int) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(b"x" * before + SECRET.encode() + b"tail").decode()
        shown = Redactor([SECRET]).text(encoded)
        assert MARK in shown
        # What is left says nothing of the secret beyond the neighbours' bits.
        assert len(shown) - len(MARK) <= len(encoded) - len(SECRET)


def test_a_secret_is_found_in_wrapped_base64() -> None:
    encoded = base64.encodebytes(b"y" * 50 + SECRET.encode() * 3).decode()
    shown = Redactor([SECRET]).text(encoded)
    assert MARK in shown
    assert base64.b64encode(SECRET.encode())[3:12].decode() not in shown


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_secret_split_over_two_pieces_is_found(cut: int) -> None:
    redactor = Redactor([SECRET])
    given = redactor.feed("before " + SECRET[:cut]) + redactor.feed(SECRET[cut:] + " after") + redactor.finish()
    # Fewer than six characters may have been given out already: they tell nothing.
    assert given.endswith(f"{MARK} after")
    assert SECRET[6:] not in given
    assert len(given) <= len(f"before {MARK} after") + 5


def test_text_without_secrets_passes_unchanged_and_at_once() -> None:
    redactor = Redactor([SECRET])
    assert redactor.feed("nothing here\n") == "nothing here\n"
    assert redactor.finish() == ""


def test_what_looked_like_a_beginning_is_given_out_in_the_end() -> None:
    redactor = Redactor([SECRET])
    assert redactor.feed("see s3cr3t/P") == "see "
    assert redactor.finish() == "s3cr3t/P"


def test_short_values_are_not_hidden() -> None:
    assert Redactor(["main", ""]).text("database main") == "database main"


def test_each_line_of_a_key_is_a_secret() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAA\nAAAAC3NzaC1lZDI1NTE5\n-----END-----\n"
    shown = Redactor([key]).text("line b3BlbnNzaC1rZXktdjEAAA and AAAAC3NzaC1lZDI1NTE5")
    assert shown == f"line {MARK} and {MARK}"


def test_secrets_may_be_added_later() -> None:
    redactor = Redactor()
    assert redactor.feed(f"{SECRET}\n") == f"{SECRET}\n"
    redactor.add([SECRET])
    assert redactor.feed(f"{SECRET}\n") == f"{MARK}\n"
