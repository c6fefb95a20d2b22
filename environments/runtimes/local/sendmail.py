"""What programs know as /usr/sbin/sendmail. Stands alone in sandboxes: takes a message at its standard input, or with
-bs SMTP itself, and hands it over where the environment's mail is taken."""

import email
import email.policy
import email.utils
import os
import re
import smtplib
import socket
import sys
import threading

_TEMPORARY, _USAGE, _DATA = 75, 64, 65  # sysexits.h
_WITH_VALUE = ("-f", "-r", "-F", "-B", "-h", "-L", "-N", "-O", "-o", "-q", "-R", "-V", "-X", "-C", "-d", "-p")


def main(server: str, arguments: list[str]) -> int:
    host, _, port = server.partition(":")
    address = (host, int(port or 25))
    sender, recipients, flags = _read(arguments)
    try:
        if "-bs" in flags:
            return _speak(address)
        source = sys.stdin.buffer.read()
        return _hand_over(address, source if {"-i", "-oi"} & flags else _until_dot(source), sender, recipients, flags)
    except smtplib.SMTPRecipientsRefused as error:
        return _refused(error.recipients)
    except smtplib.SMTPResponseException as error:
        _complain(f"{error.smtp_code} {_text(error.smtp_error)}")
        return _DATA if error.smtp_code >= 500 else _TEMPORARY
    except (OSError, smtplib.SMTPException) as error:
        _complain(str(error))
        return _TEMPORARY


def _hand_over(
    address: tuple[str, int], source: bytes, sender: str | None, recipients: list[str], flags: set[str]
) -> int:
    head, text = _split(source)
    message = email.message_from_bytes(head, policy=email.policy.compat32)
    if "-t" in flags:
        recipients = recipients + _named_in(message)
    if not recipients:
        _complain("no recipient was given")
        return _USAGE
    if sender is None:
        sender = email.utils.parseaddr(message.get("From", ""))[1] or "web@localhost"
    with smtplib.SMTP(*address, timeout=60) as link:
        return _refused(link.sendmail(sender, recipients, _lines(_without_bcc(head) + text)))


def _refused(recipients: dict[str, tuple[int, bytes]]) -> int:
    for recipient, (code, said) in recipients.items():
        _complain(f"{recipient}: {code} {_text(said)}")
    return _DATA if recipients else 0


def _complain(what: str) -> None:
    sys.stderr.write(f"sendmail: {what}\n")


def _text(said: bytes | str) -> str:
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else said


def _read(arguments: list[str]) -> tuple[str | None, list[str], set[str]]:
    sender: str | None = None
    recipients: list[str] = []
    flags: set[str] = set()
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            recipients += rest
        elif not word.startswith("-"):
            recipients.append(word)
        elif word in ("-oi", "-oem", "-oee", "-odi", "-odb", "-om"):
            flags.add(word)
        elif word[:2] in _WITH_VALUE:
            value = word[2:] or next(rest, "")
            if word[:2] in ("-f", "-r"):
                sender = value.strip("<>")
        elif word == "-ti":
            flags |= {"-t", "-i"}
        else:
            flags.add(word)
    return sender, recipients, flags


def _until_dot(source: bytes) -> bytes:
    kept = []
    for line in source.splitlines(keepends=True):
        if line.rstrip(b"\r\n") == b".":
            break
        kept.append(line)
    return b"".join(kept)


def _split(source: bytes) -> tuple[bytes, bytes]:
    ends = [found for mark in (b"\n\n", b"\r\n\r\n", b"\n\r\n") if (found := source.find(mark)) >= 0]
    end = source.index(b"\n", min(ends)) + 1 if ends else len(source)
    return source[:end], source[end:]


def _lines(source: bytes) -> bytes:
    """With the line ends of SMTP, which alone its dots are counted from."""
    return re.sub(rb"\r\n|\r|\n", b"\r\n", source)


def _named_in(message: email.message.Message) -> list[str]:
    fields = [value for name in ("To", "Cc", "Bcc") for value in message.get_all(name, [])]
    return [address for _, address in email.utils.getaddresses([str(field) for field in fields]) if address]


def _without_bcc(head: bytes) -> bytes:
    kept, dropping = [], False
    for line in head.splitlines(keepends=True):
        if line[:1] not in (b" ", b"\t"):
            dropping = line[:4].lower() == b"bcc:"
        if not dropping:
            kept.append(line)
    return b"".join(kept)


def _speak(address: tuple[str, int]) -> int:
    with socket.create_connection(address, timeout=60) as link:
        link.settimeout(None)

        def send() -> None:
            while data := os.read(0, 65536):
                link.sendall(data)
            link.shutdown(socket.SHUT_WR)

        threading.Thread(target=send, daemon=True).start()
        while data := link.recv(65536):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
