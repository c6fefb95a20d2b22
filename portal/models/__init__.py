from portal.models.audit_event import AuditEvent
from portal.models.membership import Membership, TypeRole
from portal.models.notification import Notification
from portal.models.project import Project
from portal.models.ssh_key import SSHKey
from portal.models.user import User

__all__ = ["AuditEvent", "Membership", "Notification", "Project", "SSHKey", "TypeRole", "User"]
