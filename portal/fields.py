"""Fields that hold what portal.crypto made. The kind of field is how they are found again, when keys are changed."""

from collections.abc import Iterator

from django.apps import apps
from django.db import models


class SealedField(models.TextField):  # type: ignore[type-arg]
    """An encrypted text; empty where there is none. Set it to what `portal.crypto.encrypt` returns."""


def sealed() -> Iterator[tuple[type[models.Model], str]]:
    """(model, name of the field) of each that there is."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if isinstance(field, SealedField):
                yield model, field.name
