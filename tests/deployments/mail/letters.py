"""Messages for tests, and a way to put them where programs of an environment would."""

from email.message import EmailMessage

from deployments.mail import store
from deployments.mail.store import Envelope
from deployments.models import Message
from environments.models import Environment

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


def letter(subject: str = "Your order 1042", *, html: str = "", attachment: bytes | None = None) -> bytes:
    message = EmailMessage()
    message["From"] = "Harbour Coffee <shop@harbour.example>"
    message["To"] = "Mara Okafor <mara@example.org>"
    message["Subject"] = subject
    message.set_content("Thank you for your order.\n")
    if html:
        message.add_alternative(html, subtype="html")
    if attachment is not None:
        message.add_attachment(attachment, maintype="application", subtype="pdf", filename="invoice 1042.pdf")
    return bytes(message)


def put(
    environment: Environment, source: bytes | None = None, recipients: tuple[str, ...] = ("mara@example.org",)
) -> Message:
    path = store.begin(environment.pk)
    path.write_bytes(source if source is not None else letter())
    return store.keep(environment.pk, Envelope("shop@harbour.example", recipients), path)
