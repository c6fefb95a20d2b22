import argparse
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from environments import certificates
from environments.models import Certificate
from portal import audit
from portal.crypto import encrypt
from portal.errors import Invalid


class Command(BaseCommand):
    help = "Keep a certificate of the operator's, such as one for *.<base domain>; without files, list those there are."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("chain", nargs="?", type=Path, help="PEM: the certificate and those that signed it")
        parser.add_argument("key", nargs="?", type=Path, help="PEM: its private key")
        parser.add_argument(
            "--remove", metavar="FINGERPRINT", help="forget one, named by the beginning of its fingerprint"
        )

    def handle(self, *args: Any, chain: Path | None, key: Path | None, remove: str | None, **options: Any) -> None:
        if remove:
            self._remove(remove)
        elif chain and key:
            self._keep(chain, key)
        elif chain:
            raise CommandError("Give the key's file too.")
        for each in Certificate.objects.filter(project=None):
            self.stdout.write(f"{each.fingerprint[:16]}  {each}  until {each.expires_at:%Y-%m-%d}")

    def _keep(self, chain: Path, key: Path) -> None:
        try:
            found = certificates.read(chain.read_text(), key.read_text(), None)
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{error}") from error
        except Invalid as error:
            raise CommandError(error.message) from error
        with transaction.atomic():
            Certificate.objects.filter(project=None, names=list(found.names)).delete()  # the one that it follows
            Certificate.objects.update_or_create(
                fingerprint=found.fingerprint,
                defaults={
                    "project": None,
                    "names": list(found.names),
                    "chain": found.chain,
                    "key": encrypt(found.key),
                    "issuer": found.issuer,
                    "expires_at": found.expires_at,
                },
            )
            audit.record("certificate.add", by=None, target=", ".join(found.names), fingerprint=found.fingerprint)

    def _remove(self, beginning: str) -> None:
        with transaction.atomic():
            found = list(Certificate.objects.filter(project=None, fingerprint__startswith=beginning.lower()))
            if len(found) != 1:
                raise CommandError("There is no such certificate." if not found else "More than one begins so.")
            found[0].delete()
            audit.record("certificate.remove", by=None, target=str(found[0]), fingerprint=found[0].fingerprint)
