from enum import StrEnum


class EnvironmentType(StrEnum):
    INTEGRATION = "integration"
    STAGING = "staging"
    PRODUCTION = "production"

    @property
    def label(self) -> str:
        return self.value.capitalize()


class ProjectRole(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"


class EnvironmentRole(StrEnum):
    """What a member is on one environment type, or on one environment. Declared from small to great."""

    NONE = "none"
    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(EnvironmentRole).index(self)
