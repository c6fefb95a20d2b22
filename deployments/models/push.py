from django.conf import settings
from django.db import models


class Push(models.Model):
    """A push that was let in: written before Git moves the refs, so that each accepted push has its activities."""

    id = models.CharField(primary_key=True, max_length=13)
    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="pushes")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    address = models.CharField(max_length=64, blank=True)
    updates = models.JSONField()  # [{"ref", "old", "new"}]
    options = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    recorded_at = models.DateTimeField(null=True, blank=True)  # when its activities were written

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.id
