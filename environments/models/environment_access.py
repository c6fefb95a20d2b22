from django.conf import settings
from django.db import models

from portal.enums import EnvironmentRole


class EnvironmentAccess(models.Model):
    """A person's role on one environment, where it differs from their role on its type."""

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="access")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="environment_access")
    role = models.CharField(max_length=12, choices=[(r.value, r.value) for r in EnvironmentRole])

    class Meta:
        constraints = (models.UniqueConstraint(fields=["environment", "user"], name="one_role_per_environment"),)

    def __str__(self) -> str:
        return f"{self.user} {self.role} on {self.environment}"
