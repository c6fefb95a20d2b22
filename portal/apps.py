from typing import Any

from django.apps import AppConfig
from django.http import HttpRequest


class PortalConfig(AppConfig):
    name = "portal"

    def ready(self) -> None:
        from allauth.account.signals import password_changed

        password_changed.connect(_note_password, dispatch_uid="portal.audit")


def _note_password(request: HttpRequest, user: Any, **_: object) -> None:
    """allauth changes passwords itself; who did it when and from where belongs to the audit all the same."""
    from portal import audit
    from portal.requests import address

    audit.record("account.password", by=user, target=user.email, address=address(request))
