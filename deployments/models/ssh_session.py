from django.conf import settings
from django.db import models


class SSHSession(models.Model):
    """Somebody who is in an environment over SSH now. The row goes with the session; the audit keeps what was."""

    class Kind(models.TextChoices):
        SHELL = "shell"
        COMMAND = "command"
        FILES = "files"  # SFTP
        TUNNEL = "tunnel"  # all tunnels of one connection

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="ssh_sessions")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ssh_sessions")
    address = models.CharField(max_length=64)
    program = models.CharField(max_length=200)  # an app, or "app--worker"
    kind = models.CharField(max_length=10, choices=Kind.choices)
    command = models.CharField(max_length=500, blank=True)  # without its secrets
    opened_at = models.DateTimeField(auto_now_add=True)
    seen_at = models.DateTimeField(auto_now_add=True)  # told again and again by the process that holds it
    close_asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.user} in {self.environment} ({self.kind})"
