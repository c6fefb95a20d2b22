"""Ways in which programs hand over mail from inside their sandbox: SMTP, sendmail, and PHP's mail()."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from environments.process import Watch

from .apps import FILES, PHP, PHP_FILES, PYTHON
from .make import Maker

LETTER = (
    "From: Shop <shop@harbour.example>\\nTo: Mara <mara@example.org>\\nBcc: hidden@example.org\\n"
    "Subject: Order\\n\\nThanks\\n.\\nlast\\n"
)


class Got:
    def __init__(self) -> None:
        self.envelopes: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        return "250 OK"


@pytest.fixture
def got(local: Any, maker: Maker) -> Iterator[Got]:
    """Whatever comes to where the environment's mail is taken."""
    release = maker.release(PYTHON, FILES)
    local.place(release)  # makes the network
    listening: socket.socket = local.listen(maker.place, *local.mail(maker.place))
    got, loop = Got(), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = loop.create_server(lambda: SMTP(got, loop=loop, hostname="slipway"), sock=listening)
    server = asyncio.run_coroutine_threadsafe(made, loop).result(10)
    yield got
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)


def run(local: Any, maker: Maker, script: str, *, php: bool = False) -> tuple[int, str]:
    output: list[bytes] = []
    release = maker.release(PHP, PHP_FILES) if php else maker.release(PYTHON, FILES)
    code = local.run(release, "app", script, Watch(output=output.append, total=60))
    return code, b"".join(output).decode()


def test_by_smtp(local: Any, maker: Maker, got: Got) -> None:
    host, port = local.mail(maker.place)
    send = f"import smtplib; smtplib.SMTP('{host}', {port}).sendmail('a@b.example', ['c@d.example'], 'Subject: x')"
    assert run(local, maker, f'python -c "{send}"') == (0, "")
    assert [(each.mail_from, each.rcpt_tos) for each in got.envelopes] == [("a@b.example", ["c@d.example"])]


@pytest.mark.parametrize("program", ["/usr/sbin/sendmail", "sendmail"])
def test_by_sendmail_with_recipients_from_the_headers(local: Any, maker: Maker, got: Got, program: str) -> None:
    assert run(local, maker, f"printf '{LETTER}' | {program} -t -i") == (0, "")
    (envelope,) = got.envelopes
    assert envelope.mail_from == "shop@harbour.example"
    assert envelope.rcpt_tos == ["mara@example.org", "hidden@example.org"]
    assert b"hidden" not in envelope.content
    assert envelope.content.replace(b"\r\n", b"\n").endswith(b"Thanks\n.\nlast\n")


def test_by_sendmail_with_recipients_as_arguments(local: Any, maker: Maker, got: Got) -> None:
    assert run(local, maker, f"printf '{LETTER}' | /usr/sbin/sendmail -fbounce@harbour.example -- one@example.org") == (
        0,
        "",
    )
    (envelope,) = got.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("bounce@harbour.example", ["one@example.org"])
    assert b"last" not in envelope.content  # without -i a lone dot ends the message


def test_by_sendmail_that_is_spoken_to(local: Any, maker: Maker, got: Got) -> None:
    lines = "EHLO x|MAIL FROM:<a@b.example>|RCPT TO:<c@d.example>|DATA|Subject: x||.|QUIT|"
    said = lines.replace("|", "\\r\\n")
    code, answers = run(local, maker, f"printf '{said}' | /usr/sbin/sendmail -bs")
    assert code == 0
    assert [line[:3] for line in answers.splitlines() if line[3] == " "] == [
        "220",
        "250",
        "250",
        "250",
        "354",
        "250",
        "221",
    ]
    assert len(got.envelopes) == 1


def test_by_phps_mail(local: Any, maker: Maker, got: Got) -> None:
    code, said = run(
        local,
        maker,
        """php -r 'var_dump(mail("mara@example.org", "Order", "Thanks", "From: shop@harbour.example"));'""",
        php=True,
    )
    assert (code, said.strip()) == (0, "bool(true)")
    assert [each.rcpt_tos for each in got.envelopes] == [["mara@example.org"]]


def test_sendmail_tells_what_went_wrong(local: Any, maker: Maker, got: Got) -> None:
    code, said = run(local, maker, "printf 'Subject: x\\n\\n' | /usr/sbin/sendmail -t")
    assert (code, said) == (64, "sendmail: no recipient was given\n")


def test_the_hosts_other_programs_are_where_they_were(local: Any, maker: Maker) -> None:
    look = "ls /usr/sbin; for p in nginx useradd; do test -x /usr/sbin/$p || echo is-lost $p; done"
    harm = "rm -f /usr/sbin/nginx /usr/sbin/sendmail; ls /usr/sbin/nginx /usr/sbin/sendmail || echo is-removed"
    code, said = run(local, maker, f"{look}; {harm} 2>/dev/null")
    assert code == 0
    assert {"sendmail", "nginx"} <= set(said.split())
    assert "is-lost" not in said
    assert "is-removed" not in said
