import json
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from environments import variable_checks, variables
from portal.crypto import decrypt, encrypt
from portal.fields import SealedField


class Variable(models.Model):
    """What programs or builds are told, set for an environment or for the whole project.

    Environments below have it too, unless it is not inheritable or they set their own of the same name.
    """

    project = models.ForeignKey("portal.Project", on_delete=models.CASCADE, related_name="variables")
    environment = models.ForeignKey(
        "environments.Environment", null=True, blank=True, on_delete=models.CASCADE, related_name="variables"
    )
    name = models.CharField(max_length=variable_checks.MAX_NAME)  # "env:NAME", "theme:color"
    sealed = SealedField()  # the text of its value
    is_json = models.BooleanField(default=False)
    is_sensitive = models.BooleanField(default=False)  # its value is never shown again
    visible_build = models.BooleanField(default=False)
    visible_runtime = models.BooleanField(default=True)
    is_inheritable = models.BooleanField(default=True)
    is_enabled = models.BooleanField(default=True)  # false: hides what is inherited under its name
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(
                fields=["environment", "name"],
                condition=Q(environment__isnull=False),
                name="variable_unique_in_environment",
            ),
            models.UniqueConstraint(
                fields=["project", "name"], condition=Q(environment__isnull=True), name="variable_unique_in_project"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def text(self) -> str:
        return decrypt(self.sealed)

    @text.setter
    def text(self, value: str) -> None:
        self.sealed = encrypt(value)

    @property
    def value(self) -> Any:
        text = self.text
        return json.loads(text) if self.is_json else text

    def plain(self) -> variables.Variable:
        """What builds and programs are made of. One that only hides does so everywhere."""
        off = not self.is_enabled
        return variables.Variable(
            name=self.name,
            value=None if off else self.value,
            visible_build=self.visible_build or off,
            visible_runtime=self.visible_runtime or off,
            is_enabled=self.is_enabled,
            is_sensitive=self.is_sensitive,
        )
