from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from portal.requests import address


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Accounts are made by the first-run page and by invitation only."""
        return False

    def get_client_ip(self, request: HttpRequest) -> str:
        """For the limits on sign-ins; the web process listens on a socket, so only the edge knows the address."""
        return address(request)
