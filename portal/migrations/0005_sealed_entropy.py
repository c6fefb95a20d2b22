from typing import Any

from cryptography.fernet import InvalidToken
from django.db import migrations

import portal.fields
from portal import crypto


def seal(apps: Any, schema_editor: Any) -> None:
    """What was sealed before an interruption stays as it is."""
    for project in apps.get_model("portal", "Project").objects.exclude(entropy_sealed=""):
        try:
            crypto.decrypt(project.entropy_sealed)
        except InvalidToken:
            project.entropy_sealed = crypto.encrypt(project.entropy_sealed)
            project.save(update_fields=["entropy_sealed"])


def unseal(apps: Any, schema_editor: Any) -> None:
    for project in apps.get_model("portal", "Project").objects.exclude(entropy_sealed=""):
        project.entropy_sealed = crypto.decrypt(project.entropy_sealed)
        project.save(update_fields=["entropy_sealed"])


class Migration(migrations.Migration):
    dependencies = [("portal", "0004_variables")]

    operations = [
        migrations.RenameField("project", "entropy", "entropy_sealed"),
        migrations.AlterField("project", "entropy_sealed", portal.fields.SealedField(blank=True)),
        migrations.RunPython(seal, unseal),
    ]
