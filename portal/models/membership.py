from django.conf import settings
from django.db import models

from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole


class Membership(models.Model):
    """A person's role in a project."""

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(
        max_length=10, choices=[(r.value, r.value) for r in ProjectRole], default=ProjectRole.MEMBER
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["project", "user"], name="one_membership_per_person"),)

    def __str__(self) -> str:
        return f"{self.user} {self.role} of {self.project}"


class TypeRole(models.Model):
    """What a member is on every environment of one type."""

    membership = models.ForeignKey(Membership, on_delete=models.CASCADE, related_name="type_roles")
    type = models.CharField(max_length=12, choices=[(t.value, t.value) for t in EnvironmentType])
    role = models.CharField(max_length=12, choices=[(r.value, r.value) for r in EnvironmentRole])

    class Meta:
        constraints = (models.UniqueConstraint(fields=["membership", "type"], name="one_role_per_type"),)

    def __str__(self) -> str:
        return f"{self.type}: {self.role}"
