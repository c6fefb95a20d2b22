from django.db import models


class Round(models.Model):
    """When something that is done again and again was last begun: whoever moves the time on does it."""

    name = models.CharField(primary_key=True, max_length=40)
    begun_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name
