from django.conf import settings
from django.db import models


class Visit(models.Model):
    """A signed-in person's way onto the hosts of a non-public environment.

    Made by the portal with a one-time token, entered once on the environment's host, where a cookie takes over. It ends
    with the portal session that it came from, and with the person's right to see the environment.
    """

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="visits")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="visits")
    session_key = models.CharField(max_length=40)
    token_hash = models.CharField(max_length=64, unique=True)
    cookie_hash = models.CharField(max_length=64, unique=True, null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    entered_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user} on {self.environment}"
