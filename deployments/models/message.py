from django.db import models
from django.db.models import Q


class MessageQuerySet(models.QuerySet["Message"]):
    def found(self, words: str) -> "MessageQuerySet":
        """Those that have every word in their subject or among their people."""
        found = self
        for word in words.split()[:10]:
            found = found.filter(Q(subject__icontains=word) | Q(author__icontains=word) | Q(addressees__icontains=word))
        return found


class Message(models.Model):
    """One message that a program of an environment sent. Its text is on disk, see deployments.mail.store."""

    class State(models.TextChoices):
        CAUGHT = "caught", "Caught"
        QUEUED = "queued", "Waiting"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="messages")
    received_at = models.DateTimeField(auto_now_add=True)
    sender = models.CharField(max_length=320, blank=True)  # of the envelope; none in a bounce
    recipients = models.JSONField(default=list)  # of the envelope
    # As its headers say, decoded; for people to read, and to search.
    subject = models.CharField(max_length=300, blank=True)
    author = models.CharField(max_length=300, blank=True)
    addressees = models.CharField(max_length=1000, blank=True)
    size = models.PositiveIntegerField()  # bytes
    state = models.CharField(max_length=8, choices=State.choices)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True)  # the next attempt; of one being sent, when it counts as lost
    error = models.TextField(blank=True)  # what the server said to the last attempt

    objects = MessageQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=["environment", "-id"], name="message_of_environment"),
            models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="message_due"),
        )

    def __str__(self) -> str:
        return self.subject or "(no subject)"

    @property
    def has_text(self) -> bool:
        """What was handed on is not kept here."""
        return self.state != self.State.SENT
