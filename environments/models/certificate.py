from datetime import timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from portal.fields import SealedField

_SOON = timedelta(days=21)


class Certificate(models.Model):
    """A TLS certificate that a person gave, with its key. Of a project, for its domains; of none, the operator's."""

    project = models.ForeignKey("portal.Project", null=True, on_delete=models.CASCADE, related_name="certificates")
    names = models.JSONField()  # what it is for: host names, some with a leading "*."
    chain = models.TextField()  # PEM, its own first
    key = SealedField()  # PEM
    issuer = models.CharField(max_length=300)
    fingerprint = models.CharField(max_length=64, unique=True)  # SHA-256 of the certificate, hexadecimal
    expires_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-expires_at",)

    def __str__(self) -> str:
        return ", ".join(self.names)

    @property
    def is_expired(self) -> bool:
        return self.expires_at <= timezone.now()

    @property
    def ends_soon(self) -> bool:
        return self.expires_at <= timezone.now() + _SOON
