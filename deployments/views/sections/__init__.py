"""The cards of the settings pages, in the order in which they are shown. One module for what belongs together."""

from collections.abc import Sequence

<<<<<<< HEAD
from deployments.views.sections import general, visitors
=======
from deployments.views.sections import general, sleep
>>>>>>> 9323396 (Pause environments and let the first visitor wake them)
from deployments.views.sections.base import Place, Section

__all__ = ["ENVIRONMENT", "PROJECT", "Place", "Section"]

<<<<<<< HEAD
ENVIRONMENT: Sequence[Section] = (
    general.EnvironmentTitle(),
    visitors.VisitorAccess(),
    visitors.SearchEngines(),
)
PROJECT: Sequence[Section] = (general.ProjectGeneral(),)
=======
ENVIRONMENT: Sequence[Section] = (general.EnvironmentTitle(), sleep.EnvironmentLife())
PROJECT: Sequence[Section] = (general.ProjectGeneral(), sleep.ProjectPause())
>>>>>>> 9323396 (Pause environments and let the first visitor wake them)
