"""Which module carries out which kind of activity."""

from deployments.enums import Kind
from deployments.models import Activity
from deployments.pipeline import (
    backup,
    branch,
    create,
    cron,
    deactivate,
    delete,
    deploy,
    merge,
    pause,
    restore,
    resume,
)
from deployments.pipeline.context import Procedure

_PROCEDURES: dict[Kind, Procedure] = {
    Kind.PROJECT_CREATE: create.PROCEDURE,
    Kind.PUSH: deploy.PROCEDURE,
    Kind.ACTIVATE: deploy.PROCEDURE,
    Kind.REDEPLOY: deploy.PROCEDURE,
    Kind.DEACTIVATE: deactivate.PROCEDURE,
    Kind.BRANCH: branch.PROCEDURE,
    Kind.DELETE: delete.PROCEDURE,
    Kind.MERGE: merge.PROCEDURE,
    Kind.SYNCHRONIZE: merge.PROCEDURE,
    Kind.PAUSE: pause.PROCEDURE,
    Kind.RESUME: resume.PROCEDURE,
    Kind.BACKUP: backup.PROCEDURE,
    Kind.CRON: cron.PROCEDURE,
    Kind.RESTORE: restore.PROCEDURE,
}


def of(activity: Activity) -> Procedure:
    return _PROCEDURES[Kind(activity.kind)]
