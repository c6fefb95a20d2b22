from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from deployments import resealing
from portal import audit, crypto, rotation
from portal.errors import SlipwayError


class Command(BaseCommand):
    help = (
        "Encrypt all stored secrets under a new key, while everything runs. The old key still opens what is in older"
        " copies of the database, until it is retired. After an interruption, the same again goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--retire", action="store_true", help="make no new key; remove all but the newest one")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["retire"] and settings.FIELD_KEYS:
            raise CommandError(
                "The keys are in SLIPWAY_FIELD_KEYS. Remove the old ones there, and start Slipway again."
            )
        try:
            with rotation.alone():
                self._rotate(retire=options["retire"])
        except SlipwayError as error:
            raise CommandError(error.message) from error

    def _rotate(self, *, retire: bool) -> None:
        if settings.FIELD_KEYS:
            self.stdout.write("The keys are in SLIPWAY_FIELD_KEYS: the first of them is taken for the new one.")
        elif not retire:
            if rotation.left():
                self.stdout.write("A change of keys that was interrupted is gone on with.")
            else:
                rotation.add()
        count, lost = rotation.renew()
        backups, damaged = resealing.renew()
        audit.record("keys.rotate", by=None, values=count, backups=backups, failed=len(lost) + len(damaged))
        self.stdout.write(f"Encrypted again: {count} values, {backups} backups.")
        if lost or damaged:
            told = "\n".join([*lost, *damaged])
            raise CommandError(f"These could not be, and no key was removed:\n{told}")
        if retire:
            self.stdout.write(f"Keys removed: {rotation.retire()}. Older copies of the database need them: keep those.")
            audit.record("keys.retire", by=None)
        elif len(crypto.keys()) > 1:
            self.stdout.write(
                "The old key still opens older copies. Remove it with: ./slipway manage rotate_keys --retire"
            )
