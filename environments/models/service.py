from django.db import models

from portal.fields import SealedField


class Service(models.Model):
    """A backing service that exists for an environment: one process with its own data directory and password."""

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="services")
    name = models.CharField(max_length=64)
    engine = models.CharField(max_length=20)  # "mariadb", "postgresql", "redis"
    version = models.CharField(max_length=20)  # the version that runs, "10.11"
    asked = models.CharField(max_length=60)  # the type in services.yaml, "mysql:10.4"
    address = models.GenericIPAddressField(protocol="IPv4")  # its own loopback address
    port = models.PositiveIntegerField()
    secret = SealedField()  # JSON: what the engine's module needs to connect, see backing.base.Secrets
    configuration = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["environment", "name"], name="service_name_unique_in_environment"),
            models.UniqueConstraint(fields=["address"], name="one_service_per_address"),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.engine} {self.version})"
