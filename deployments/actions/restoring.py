"""Where a backup may be restored to: never upwards, and nothing of Production's but into Production."""

from collections.abc import Collection, Iterable

from deployments.models import Backup
from environments.models import Environment
from portal.enums import EnvironmentType

_RANK = list(EnvironmentType)


def why_not(backup: Backup, target: Environment, *, above: Collection[int] | None = None) -> str:
    """Why the backup's data may not go there, whoever asks; empty when it may. `above`: see there, where known."""
    if backup.project_id != target.project_id:
        return "The backup belongs to another project."
    if backup.state != Backup.State.STORED:
        return "The backup is not complete."
    if backup.missing_since is not None:
        return "Files of the backup are missing from the store, or are not whole any more."
    if target.status == Environment.Status.DELETING:
        return f"{target.title} is being deleted."
    if backup.environment_id == target.pk:
        return ""
    came_from = EnvironmentType(backup.environment_type)
    if EnvironmentType.PRODUCTION in (came_from, target.environment_type) and came_from != target.environment_type:
        if came_from is EnvironmentType.PRODUCTION:
            return f"Nothing unmasked leaves Production: its backups cannot be restored into {target.title}."
        return f"Data comes down, never up: this backup cannot be restored into {target.title}."
    if _RANK.index(target.environment_type) > _RANK.index(came_from):
        return f"Data comes down, never up: this backup cannot be restored into {target.title}."
    if above is None:
        above = ancestors(backup.environment) if backup.environment is not None else ()
    if target.pk in above:
        return f"{target.title} stands above {backup.environment_title}, and data only comes down."
    return ""


def ancestors(environment: Environment, everyone: Iterable[Environment] | None = None) -> set[int]:
    """Primary keys of its parent, that one's parent and so on. `everyone`: the project's environments, where known."""
    if everyone is None:
        everyone = Environment.objects.filter(project=environment.project_id).only("pk", "parent")
    parents = {each.pk: each.parent_id for each in everyone}
    found: set[int] = set()
    here = parents.get(environment.pk)
    while here is not None and here not in found:
        found.add(here)
        here = parents.get(here)
    return found
