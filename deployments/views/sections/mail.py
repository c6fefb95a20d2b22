"""Whether an environment's mail goes out."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from deployments.actions import mail
from deployments.mail import sending
from deployments.views.sections.base import Place, Switch
from portal.permissions import Permission


class OutgoingMail(Switch):
    key, title, right, label = "mail", "Outgoing mail", Permission.OPERATE, "Send mail"

    def is_on(self, place: Place) -> bool:
        return place.environment.mail_is_on

    def hint(self, place: Place) -> str:
        return (
            f"On: messages go out through {sending.server_name()}. Off: they are kept on the page Mail, and nobody "
            "gets them. New branches begin as this environment is set; those of Production begin with mail off."
            if settings.SMTP_URL
            else "This Slipway knows no mail server, so messages are kept on the page Mail whatever is set here. "
            "Whoever runs it names one with SLIPWAY_SMTP_URL."
        )

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        mail.switch(place.environment, on=given["on"], by=place.frame.user, address=address)
        if not given["on"]:
            return "Mail is off: messages are kept on the page Mail, from now on."
        return "Mail is on, from the next message on." if settings.SMTP_URL else "Mail is on, once there is a server."
