from django.db import models


class MountSizes(models.Model):
    """How much lies in the mounts of an environment, as a worker last found it. Nobody walks a disk in a request."""

    environment = models.OneToOneField("environments.Environment", on_delete=models.CASCADE, related_name="mount_sizes")
    asked_at = models.DateTimeField(null=True)
    measured_at = models.DateTimeField(null=True)
    found = models.JSONField(default=dict)  # "<program>:<path>" -> [files, bytes]

    def __str__(self) -> str:
        return f"Mounts of {self.environment}"
