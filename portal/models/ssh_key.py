from django.conf import settings
from django.db import models


class SSHKey(models.Model):
    """A public key with which its owner signs in over SSH."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ssh_keys")
    title = models.CharField(max_length=120)
    kind = models.CharField(max_length=60)  # "ssh-ed25519", "sk-ssh-ed25519@openssh.com", ...
    bits = models.PositiveIntegerField()
    public_key = models.TextField()  # "<kind> <base64>", without comment
    fingerprint = models.CharField(max_length=64, unique=True)  # "SHA256:..." as OpenSSH prints it
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    last_used_address = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return f"{self.title} ({self.fingerprint})"
