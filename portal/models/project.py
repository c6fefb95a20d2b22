from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from portal.crypto import decrypt
from portal.fields import SealedField
from portal.ids import new_id

if TYPE_CHECKING:
    from portal.models.user import User


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, user: "User") -> "ProjectQuerySet":
        """Projects in which the person has any role; a superuser manages accounts and sees no project by that alone."""
        return self.filter(memberships__user=user).distinct()


class Project(models.Model):
    class Source(models.TextChoices):
        STARTER = "starter"
        GIT = "git"

    class State(models.TextChoices):
        CREATING = "creating"
        READY = "ready"
        FAILED = "failed"  # its repository could not be made; the activity says why

    id = models.CharField(primary_key=True, max_length=13, default=new_id, editable=False)
    title = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State.choices, default=State.CREATING)
    source = models.CharField(max_length=10, choices=Source.choices)
    source_name = models.CharField(max_length=1000)  # the starter's folder name, or the Git URL (never with a password)
    default_branch = models.CharField(max_length=255, default="master")
    timezone = models.CharField(max_length=64, default="UTC")
    pause_after = models.PositiveSmallIntegerField(default=0)  # hours that an environment may be idle; 0: never paused
    max_active_integration = models.PositiveIntegerField(default=8)
    delete_merged = models.BooleanField(default=False)  # branches are deleted a day after their merge
    deploy_key_public = models.TextField(blank=True)  # OpenSSH line to paste at the Git host
    deploy_key_private = SealedField(blank=True)
    entropy_sealed = SealedField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ("title", "id")

    def __str__(self) -> str:
        return self.title

    @property
    def entropy(self) -> str:
        """PLATFORM_PROJECT_ENTROPY: secret, and stable for the project's life."""
        return decrypt(self.entropy_sealed) if self.entropy_sealed else ""
