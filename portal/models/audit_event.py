from django.conf import settings
from django.db import models


class AuditEvent(models.Model):
    """Who did what, when and from where. Rows are only ever added."""

    at = models.DateTimeField(auto_now_add=True, db_index=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    actor_name = models.CharField(max_length=200)  # kept when the account is gone; "system" when nobody asked
    address = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=60)  # "project.create", "ssh_key.add", "access.denied", ...
    project_id = models.CharField(max_length=13, blank=True, db_index=True)
    target = models.CharField(max_length=300, blank=True)
    outcome = models.CharField(max_length=10, default="done")  # or "refused"
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.target}"
