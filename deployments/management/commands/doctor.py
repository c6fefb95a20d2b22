import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from deployments.pipeline import reconciling, sweeping
from environments import runtimes


class Command(BaseCommand):
    help = (
        "Find what is not as it should be between the database, the disk, the processes, the edge and the repositories."
        " Changes nothing unless told to repair. Exit code 1 when something is wrong and was not mended."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="mend what can be mended, then look again")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        mended: list[str] = []
        if options["repair"]:
            sweeping.sweep()
            mended = reconciling.reconcile(services=True)
        found = list(reconciling.examine())
        why_shared = runtimes.get().why_shared()
        if options["json"]:
            wrong = [{"found": finding.found, "can_be_mended": finding.mend is not None} for finding in found]
            network = "isolated" if why_shared is None else "shared"
            self.stdout.write(json.dumps({"network": network, "mended": mended, "wrong": wrong}))
        else:
            self.stdout.write(
                "network: each environment has one of its own"
                if why_shared is None
                else f"network: environments share this host's ({why_shared})"
            )
            for sentence in mended:
                self.stdout.write(f"mended: {sentence}")
            for finding in found:
                self.stdout.write(f"wrong:  {finding.found}")
            if not found:
                self.stdout.write("All is as it should be.")
            elif not options["repair"] and any(finding.mend for finding in found):
                self.stdout.write("Mend what can be mended with: ./slipway manage doctor --repair")
        if found:
            raise SystemExit(1)
