"""A project's own domains and their certificates. Domains take effect with a deployment, which is asked for at once;
one that is given up is served no more from that moment on."""

from django.db import transaction
from django.db.models import Q

from deployments.actions import environments
from deployments.enums import Kind, State
from deployments.models import Activity
from environments import access, certificates, domains, edge
from environments.models import Certificate, Domain, Environment, Host
from portal import audit
from portal.crypto import encrypt
from portal.enums import EnvironmentType
from portal.errors import Conflict, Invalid, Missing
from portal.models import Project, User
from portal.permissions import Permission

MOST = 100  # of each, for a project
_TAKEN = (
    "{name} cannot be added: it, or a domain above or below it, is used by another project here. If it is yours, prove "
    "it: let DNS have the TXT record {record} with the text {text}, and add it again in a few minutes."
)


def add(production: Environment, *, name: str, by: User, address: str = "") -> Domain:
    """Raises Missing, Denied, Invalid or Conflict (field domain). The first one becomes the default."""
    project = _check(production, by)
    name = domains.read(name)
    _check_free(project, name)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        own = Domain.objects.filter(project=project)
        if own.count() >= MOST:
            raise Conflict(f"A project has at most {MOST} domains.", field="domain")
        if Domain.objects.filter(name=name).exists():  # by someone who was faster
            raise Conflict(f"{name} is used already.", field="domain")
        domain = Domain.objects.create(project=project, name=name, is_default=not own.exists(), created_by=by)
        _record("domain.add", production, name, by=by, address=address)
        _apply(production, by=by, address=address)
    return domain


def remove(production: Environment, *, name: str, by: User, address: str = "") -> None:
    """Raises Missing, Denied. Visitors by it and by names below it get nothing any more, at once."""
    project = _check(production, by)
    with transaction.atomic():
        domain = _find(project, name)
        was_default = domain.is_default
        domain.delete()
        left = list(Domain.objects.filter(project=project).order_by("name"))
        if was_default and left:
            Domain.objects.filter(pk=left[0].pk).update(is_default=True)
        kept = {each.name for each in left}
        below = Host.objects.filter(Q(name=name) | Q(name__endswith=f".{name}"), environment=production)
        own = f".{production.host}"
        gone = [
            host.name for host in below if not domains.covers(kept, host.name) and not f".{host.name}".endswith(own)
        ]
        Host.objects.filter(environment=production, name__in=gone).delete()
        _record("domain.remove", production, name, by=by, address=address)
        transaction.on_commit(lambda: edge.remove(gone))
        _apply(production, by=by, address=address)


def make_default(production: Environment, *, name: str, by: User, address: str = "") -> None:
    """Raises Missing, Denied. The default is what {default} in routes.yaml means."""
    project = _check(production, by)
    with transaction.atomic():
        domain = _find(project, name)
        if domain.is_default:
            return
        Domain.objects.filter(project=project, is_default=True).update(is_default=False)
        Domain.objects.filter(pk=domain.pk).update(is_default=True)
        _record("domain.default", production, name, by=by, address=address)
        _apply(production, by=by, address=address)


def add_certificate(production: Environment, *, chain: str, key: str, by: User, address: str = "") -> Certificate:
    """Raises Missing, Denied, Invalid (field chain or key). It is shown to visitors from the next handshake on."""
    project = _check(production, by)
    found = certificates.read(chain, key, Domain.objects.filter(project=project).values_list("name", flat=True))
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        if Certificate.objects.filter(fingerprint=found.fingerprint).exists():
            raise Invalid("This certificate was given already.", field="chain")
        if Certificate.objects.filter(project=project).count() >= MOST:
            raise Conflict(f"At most {MOST} certificates can be kept. Remove those that ended.", field="chain")
        certificate = Certificate.objects.create(
            project=project,
            names=list(found.names),
            chain=found.chain,
            key=encrypt(found.key),
            issuer=found.issuer,
            fingerprint=found.fingerprint,
            expires_at=found.expires_at,
            created_by=by,
        )
        _record("certificate.add", production, str(certificate), by=by, address=address, fingerprint=found.fingerprint)
    return certificate


def remove_certificate(production: Environment, *, fingerprint: str, by: User, address: str = "") -> None:
    """Raises Missing, Denied."""
    project = _check(production, by)
    with transaction.atomic():
        certificate = Certificate.objects.filter(project=project, fingerprint=fingerprint).first()
        if certificate is None:
            raise Missing("There is no such certificate.")
        certificate.delete()
        _record(
            "certificate.remove",
            production,
            str(certificate),
            by=by,
            address=address,
            fingerprint=certificate.fingerprint,
        )


def why_not(production: Environment) -> str:
    """Why the environment has no domains of its own; empty when it can have some."""
    if production.environment_type is EnvironmentType.PRODUCTION:
        return ""
    return "Only Production has domains of its own. Other environments are reached below their generated host."


def _check(production: Environment, by: User) -> Project:
    access.check(by, production, Permission.OPERATE)
    reason = why_not(production)
    if reason:
        raise Conflict(reason)
    return production.project


def _check_free(project: Project, name: str) -> None:
    """First come, first served; beside a domain of another project only who holds it in DNS. Whose is not told."""
    if Domain.objects.filter(project=project, name=name).exists():
        raise Conflict(f"{name} is a domain of this project already.", field="domain")
    others = Domain.objects.exclude(project=project)
    exact = others.filter(name=name).exists()
    hosts = Host.objects.exclude(environment__project=project)
    beside = others.filter(Q(name__in=domains.above(name)) | Q(name__endswith=f".{name}")).exists()
    beside = beside or hosts.filter(Q(name=name) | Q(name__endswith=f".{name}")).exists()
    if exact or (beside and not domains.is_proven(project.pk, name)):
        record, text = domains.proof(project.pk, name)
        message = f"{name} is used already. Whoever added it must remove it first."
        raise Conflict(message if exact else _TAKEN.format(name=name, record=record, text=text), field="domain")


def _find(project: Project, name: str) -> Domain:
    domain = Domain.objects.filter(project=project, name=name).first()
    if domain is None:
        raise Missing("There is no such domain.")
    return domain


def _apply(production: Environment, *, by: User, address: str) -> None:
    """One deployment for all that is changed before it begins."""
    waiting = Activity.objects.filter(environment=production, kind=Kind.REDEPLOY, state=State.PENDING)
    if production.is_active and not waiting.exists():
        environments.redeploy(production, by=by, address=address)


def _record(action: str, production: Environment, target: str, *, by: User, address: str, **details: str) -> None:
    audit.record(action, by=by, project=production.project, target=target, address=address, **details)
