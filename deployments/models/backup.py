from django.db import models
from django.db.models import Q

from portal.ids import new_id


class BackupQuerySet(models.QuerySet["Backup"]):
    def stored(self) -> "BackupQuerySet":
        return self.filter(state=Backup.State.STORED)

    def bad(self) -> "BackupQuerySet":
        """Stored ones that cannot be relied on."""
        return self.stored().filter(Q(proof=Backup.Proof.FAILED) | Q(missing_since__isnull=False))


class Backup(models.Model):
    """All services and mounts of an environment at one instant, with the release that worked on them."""

    class State(models.TextChoices):
        MAKING = "making"
        STORED = "stored"  # its manifest is in the store
        REMOVING = "removing"

    class Reason(models.TextChoices):
        ASKED = "asked"
        SCHEDULED = "scheduled"
        SAFETY = "safety"  # before something that replaces the data

    class Proof(models.TextChoices):
        NONE = ""
        PROVEN = "proven"
        FAILED = "failed"

    id = models.CharField(primary_key=True, max_length=13, default=new_id, editable=False)
    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="backups")
    environment = models.ForeignKey(
        "environments.Environment", null=True, blank=True, on_delete=models.SET_NULL, related_name="backups"
    )
    # Kept when the environment is gone.
    environment_title = models.CharField(max_length=200)
    environment_type = models.CharField(max_length=12)
    activity = models.ForeignKey("deployments.Activity", null=True, on_delete=models.SET_NULL, related_name="backups")
    state = models.CharField(max_length=10, choices=State.choices, default=State.MAKING)
    reason = models.CharField(max_length=10, choices=Reason.choices, default=Reason.ASKED)
    note = models.CharField(max_length=200, blank=True)
    asked_by = models.CharField(max_length=200, default="Slipway")
    pinned = models.BooleanField(default=False)  # kept from being thinned out
    at = models.DateTimeField(null=True, blank=True)  # the instant
    held = models.FloatField(default=0)  # seconds for which the environment stood still
    release_number = models.PositiveIntegerField(null=True, blank=True)
    commit = models.CharField(max_length=40, blank=True)
    subject = models.CharField(max_length=300, blank=True)
    data_bytes = models.PositiveBigIntegerField(default=0)  # as it was
    size = models.PositiveBigIntegerField(default=0)  # as it is stored
    parts = models.JSONField(default=list, blank=True)  # for display: [{"kind", "name", "engine", "bytes", "size"}]
    manifest = models.CharField(max_length=64, blank=True)  # SHA-256 of the stored manifest
    missing_since = models.DateTimeField(null=True, blank=True)  # a file of it is gone from the store
    proof = models.CharField(max_length=10, choices=Proof.choices, default=Proof.NONE, blank=True)
    proof_at = models.DateTimeField(null=True, blank=True)
    proof_seconds = models.FloatField(default=0)
    proof_note = models.CharField(max_length=300, blank=True)  # "12 tables, 48,211 rows", or why it failed
    counts = models.JSONField(default=dict, blank=True)  # what the proof counted, by part
    looked_at = models.DateTimeField(null=True, blank=True)  # when its files were last looked for
    created_at = models.DateTimeField(auto_now_add=True)

    objects = BackupQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        indexes = (models.Index(fields=["environment", "-created_at"]),)

    def __str__(self) -> str:
        return f"backup {self.pk} of {self.environment_title}"
