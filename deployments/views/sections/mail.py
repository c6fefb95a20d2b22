"""Whether an environment's mail goes out."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.http import QueryDict

from deployments.actions import mail
from deployments.mail import sending
from deployments.views.sections.base import Place, Section
from environments.models import Environment
from portal.permissions import Permission


class MailForm(forms.Form):
    on = forms.BooleanField(label="Send mail", required=False)


class OutgoingMail(Section):
    key, title, right = "mail", "Outgoing mail", Permission.OPERATE
    template = "environments/_mail_setting.html"

    def form(self, place: Place, data: QueryDict | None = None) -> forms.Form:
        form = MailForm(data, initial={"on": _environment(place).mail_is_on})
        form.fields["on"].help_text = (
            f"On: messages go out through {sending.server_name()}. Off: they are kept on the page Mail, and nobody "
            "gets them. New branches begin as this environment is set; those of Production begin with mail off."
            if settings.SMTP_URL
            else "This Slipway knows no mail server, so messages are kept on the page Mail whatever is set here. "
            "Whoever runs it names one with SLIPWAY_SMTP_URL."
        )
        return form

    def save(self, place: Place, given: Mapping[str, Any], *, address: str) -> str:
        mail.switch(_environment(place), on=given["on"], by=place.frame.user, address=address)
        if not given["on"]:
            return "Mail is off: messages are kept on the page Mail, from now on."
        return "Mail is on, from the next message on." if settings.SMTP_URL else "Mail is on, once there is a server."


def _environment(place: Place) -> Environment:
    assert place.node is not None
    return place.node.environment
