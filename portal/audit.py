from typing import Any

from portal.models import AuditEvent, Project, User


def record(
    action: str,
    *,
    by: User | None,
    project: Project | None = None,
    target: str = "",
    address: str = "",
    outcome: str = "done",
    **details: Any,
) -> AuditEvent:
    """Write one audit event; call it inside the transaction of the change it tells of."""
    return AuditEvent.objects.create(
        action=action,
        actor=by,
        actor_name=str(by) if by else "system",
        address=address,
        project_id=project.pk if project else "",
        target=target[:300],
        outcome=outcome,
        details=details,
    )
