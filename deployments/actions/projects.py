"""Asking for a project: from a starter or from a Git URL."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from deployments.actions import activities
from deployments.enums import Kind
from deployments.models import Activity
from environments import remotes, starters
from portal import titles
from portal.access import check_project
from portal.crypto import encrypt
from portal.enums import ProjectRole
from portal.errors import Conflict
from portal.ids import new_id
from portal.models import Membership, Project, User
from portal.permissions import Permission

_ENTROPY_LENGTH = 56


def create_from_starter(*, by: User, title: str, starter: str, address: str = "") -> tuple[Project, Activity]:
    """Raises Invalid (field "title") or Missing (no such starter)."""
    chosen = starters.find(starter)
    return _create(by, title, Project.Source.STARTER, chosen.name, address)


def create_from_git(*, by: User, title: str, url: str, address: str = "") -> tuple[Project, Activity]:
    """Raises Invalid (field "title" or "url"). The URL's host is looked at again, once resolved, by the worker."""
    remote = remotes.check(url, allow_private=settings.ALLOW_PRIVATE_REMOTES)
    return _create(by, title, Project.Source.GIT, remote.url, address)


def retry_create(project: Project, *, by: User, address: str = "") -> Activity:
    """Try again to make a project whose creation failed. Raises Conflict when it did not fail."""
    check_project(by, project, Permission.MANAGE_PROJECT)
    with transaction.atomic():
        project = Project.objects.select_for_update().get(pk=project.pk)
        previous = Activity.objects.filter(project=project, kind=Kind.PROJECT_CREATE).order_by("-sequence").first()
        if project.state != Project.State.FAILED or previous is None or not previous.is_final:
            raise Conflict(f"The creation of {project.title} has not failed: there is nothing to try again.")
        project.state = Project.State.CREATING
        project.save(update_fields=["state"])
        return activities.create(
            kind=Kind.PROJECT_CREATE,
            project=project,
            environment=None,
            by=by,
            parameters=previous.parameters,
            address=address,
            retry_of=previous,
        )


def _create(by: User, title: str, source: Project.Source, name: str, address: str) -> tuple[Project, Activity]:
    public, private = _deploy_key()
    with transaction.atomic():
        project = Project.objects.create(
            title=titles.check(title),
            source=source,
            source_name=name,
            max_active_integration=settings.MAX_ACTIVE_INTEGRATION,
            deploy_key_public=public,
            deploy_key_private=encrypt(private),
            entropy_sealed=encrypt(new_id(_ENTROPY_LENGTH)),
            created_by=by,
        )
        project.deploy_key_public = f"{public} slipway-{project.pk}"
        project.save(update_fields=["deploy_key_public"])
        Membership.objects.create(project=project, user=by, role=ProjectRole.OWNER)
        activity = activities.create(
            kind=Kind.PROJECT_CREATE,
            project=project,
            environment=None,
            by=by,
            parameters={"source": source.value, "name": name},
            address=address,
        )
    return project, activity


def _deploy_key() -> tuple[str, str]:
    """A fresh key pair in OpenSSH's formats: the public line without comment, and the private file."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return public.decode(), private.decode()
