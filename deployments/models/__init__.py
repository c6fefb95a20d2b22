from deployments.models.activity import Activity
from deployments.models.backup import Backup
from deployments.models.backup_plan import BackupPlan
from deployments.models.cron_run import CronRun
from deployments.models.health import Health
from deployments.models.log_chunk import LogChunk
from deployments.models.message import Message
from deployments.models.mount_sizes import MountSizes
from deployments.models.promotion import ChecklistItem, Decision, Promotion, Tick
from deployments.models.promotion_rules import PromotionRules, Timespan
from deployments.models.push import Push
from deployments.models.release import Release
from deployments.models.round import Round
from deployments.models.sample import Sample
from deployments.models.ssh_session import SSHSession
from deployments.models.step import Step
from deployments.models.variable_set import VariableSet

__all__ = [
    "Activity",
    "Backup",
    "BackupPlan",
    "ChecklistItem",
    "CronRun",
    "Decision",
    "Health",
    "LogChunk",
    "Message",
    "MountSizes",
    "Promotion",
    "PromotionRules",
    "Push",
    "Release",
    "Round",
    "SSHSession",
    "Sample",
    "Step",
    "Tick",
    "Timespan",
    "VariableSet",
]
