from django.conf import settings
from django.db import models
from django.db.models import Q


class Domain(models.Model):
    """A name of its own that a project's Production is reached by. Taken once over all projects."""

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="domains")
    name = models.CharField(max_length=253, unique=True)
    is_default = models.BooleanField(default=False)  # what {default} in routes.yaml means on Production
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-is_default", "name")
        constraints = (
            models.UniqueConstraint(fields=["project"], condition=Q(is_default=True), name="one_default_domain"),
        )

    def __str__(self) -> str:
        return self.name
