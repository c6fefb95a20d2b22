from django.db import models


class Host(models.Model):
    """A host name that the edge serves for an environment. Taken once over all projects."""

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="hosts")
    name = models.CharField(max_length=253, unique=True)

    def __str__(self) -> str:
        return self.name
