from django.db import models


class Sample(models.Model):
    """What an environment used in a minute; or, once minutes are thinned, in an hour."""

    class Span(models.TextChoices):
        MINUTE = "minute"
        HOUR = "hour"

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="samples")
    span = models.CharField(max_length=6, choices=Span.choices, default=Span.MINUTE)
    at = models.DateTimeField()  # its beginning
    cpu = models.FloatField()  # of one processor: 0.5 is half of it; the mean of an hour
    memory = models.PositiveBigIntegerField()  # bytes; the highest of an hour
    disk = models.PositiveBigIntegerField(null=True)  # bytes, as last measured
    requests = models.PositiveIntegerField()
    errors = models.PositiveIntegerField()  # answered with 500 and above
    p95 = models.FloatField(null=True)  # seconds within which 95 % of the requests were answered; highest of an hour

    class Meta:
        constraints = (models.UniqueConstraint(fields=["environment", "span", "at"], name="one_sample_per_span"),)
        indexes = (models.Index(fields=["span", "at"]),)

    def __str__(self) -> str:
        return f"{self.environment_id} {self.span} {self.at:%F %H:%M}"
