import dataclasses
import json
from collections.abc import Sequence

from django.db import models

from environments.variables import Variable
from portal.crypto import decrypt, encrypt
from portal.fields import SealedField


class VariableSet(models.Model):
    """The variables that a deployment found, all of them: its builds and its release use these whatever is changed
    since. Never altered; releases of an environment share one for as long as nothing changes."""

    environment = models.ForeignKey("environments.Environment", on_delete=models.CASCADE, related_name="variable_sets")
    sealed = SealedField()  # JSON: a list of environments.variables.Variable
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"variable set {self.pk}"

    @property
    def variables(self) -> list[Variable]:
        return [Variable(**each) for each in json.loads(decrypt(self.sealed))]

    @staticmethod
    def seal(variables: Sequence[Variable]) -> str:
        return encrypt(json.dumps([dataclasses.asdict(each) for each in variables], ensure_ascii=True))
