from django.conf import settings
from django.db import models


class Notification(models.Model):
    """What a person is told in the bar at the top; a mail goes out beside it where mail is set up."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications")
    project = models.ForeignKey("portal.Project", null=True, blank=True, on_delete=models.CASCADE, related_name="+")
    text = models.CharField(max_length=300)
    path = models.CharField(max_length=300)  # of the page that it is about
    is_loud = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    read_at = models.DateTimeField(null=True, blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)  # None: not yet, or there is no mail here

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = (models.Index(fields=["user", "read_at"]),)

    def __str__(self) -> str:
        return self.text
