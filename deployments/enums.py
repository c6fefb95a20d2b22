from enum import StrEnum


class Kind(StrEnum):
    """What can be asked of an environment or a project. The values are the field's own activity types."""

    PROJECT_CREATE = "project.create"
    PUSH = "environment.push"
    ACTIVATE = "environment.activate"
    DEACTIVATE = "environment.deactivate"
    REDEPLOY = "environment.redeploy"
    BRANCH = "environment.branch"
    DELETE = "environment.delete"
    MERGE = "environment.merge"
    SYNCHRONIZE = "environment.synchronize"
    PAUSE = "environment.pause"
    RESUME = "environment.resume"
    BACKUP = "environment.backup"
    RESTORE = "environment.restore"
    CRON = "environment.cron"


class State(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Fault(StrEnum):
    """Whose failure it is."""

    USER = "user"  # their hook, their YAML, their app: said in their terms
    PLATFORM = "platform"  # ours
