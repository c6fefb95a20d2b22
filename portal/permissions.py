"""The rights matrix as data. Only the `access` modules read it."""

from enum import StrEnum

from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole


class Permission(StrEnum):
    # on one environment
    SEE = "see"
    PUSH = "push"
    BRANCH = "branch"
    REQUEST_PROMOTION = "request_promotion"
    SHELL = "shell"
    OPERATE = (
        "operate"  # activate, deactivate, redeploy, merge, sync, settings, variables, routes, HTTP access, backups
    )
    FORCE_PUSH = "force_push"
    RESTORE = "restore"
    DELETE = "delete"
    # on the project
    MANAGE_PEOPLE = "manage_people"
    MANAGE_PROJECT = "manage_project"  # project variables, integrations, deploy key
    APPROVE = "approve"  # Production promotions, freeze windows, approval rules, break-glass
    OWN = "own"  # transfer or delete the project, make another owner


E, T = EnvironmentRole, EnvironmentType
_VIEW = frozenset({Permission.SEE})
_CONTRIBUTE = _VIEW | {Permission.PUSH, Permission.BRANCH, Permission.REQUEST_PROMOTION}
_OPERATE = _CONTRIBUTE | {Permission.SHELL, Permission.OPERATE, Permission.FORCE_PUSH}

# What a role on an environment allows, by the environment's type.
MATRIX: dict[EnvironmentRole, dict[EnvironmentType, frozenset[Permission]]] = {
    E.NONE: dict.fromkeys(T, frozenset()),
    E.VIEWER: dict.fromkeys(T, _VIEW),
    E.CONTRIBUTOR: {
        T.INTEGRATION: _CONTRIBUTE | {Permission.SHELL},
        T.STAGING: _CONTRIBUTE | {Permission.SHELL},
        T.PRODUCTION: _CONTRIBUTE,
    },
    E.ADMIN: {
        T.INTEGRATION: _OPERATE | {Permission.RESTORE, Permission.DELETE},
        T.STAGING: _OPERATE | {Permission.RESTORE, Permission.DELETE},
        T.PRODUCTION: _OPERATE,
    },
}

_PROJECT_ADMIN = frozenset({Permission.MANAGE_PEOPLE, Permission.MANAGE_PROJECT})

# What a role on the project allows; owners and admins hold every environment permission besides.
PROJECT_MATRIX: dict[ProjectRole, frozenset[Permission]] = {
    ProjectRole.MEMBER: frozenset(),
    ProjectRole.ADMIN: _PROJECT_ADMIN,
    ProjectRole.OWNER: _PROJECT_ADMIN | {Permission.APPROVE, Permission.OWN},
}

ENVIRONMENT_PERMISSIONS: frozenset[Permission] = _OPERATE | {Permission.RESTORE, Permission.DELETE}
