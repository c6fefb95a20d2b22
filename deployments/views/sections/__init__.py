"""The cards of the settings pages, in the order in which they are shown. One module for what belongs together."""

from collections.abc import Sequence

from deployments.views.sections import backups, crons, general, mail, sleep, tree, visitors
from deployments.views.sections.base import Place, Section

__all__ = ["ENVIRONMENT", "PROJECT", "Place", "Section"]

ENVIRONMENT: Sequence[Section] = (
    general.EnvironmentTitle(),
    tree.Parent(),
    tree.Lifetime(),
    visitors.VisitorAccess(),
    visitors.SearchEngines(),
    sleep.EnvironmentLife(),
    crons.RunCrons(),
    mail.OutgoingMail(),
    backups.EnvironmentBackups(),
)
PROJECT: Sequence[Section] = (general.ProjectGeneral(), tree.Merged(), sleep.ProjectPause(), backups.ProjectBackups())
