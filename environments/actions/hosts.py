"""Which hosts may be served for whom, and with which certificate. Asked by deployments and by the edge."""

from collections.abc import Collection, Sequence

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from environments import certificates, domains
from environments.models import Certificate, Domain, Environment, Host
from portal.crypto import decrypt

_SHOWN = 20  # certificates that are looked through for one name


def domain_names(environment: Environment) -> list[str]:
    """Of Production, the default one first; other environments have none."""
    if not environment.is_public:
        return []
    return list(Domain.objects.filter(project=environment.project_id).values_list("name", flat=True))


def reachable(environment: Environment, hosts: Collection[str], names: Collection[str]) -> list[str]:
    """Those of the hosts of its routes that visitors may come by: its own and those below, and its domains and those
    below. A name below a domain that another project has is that project's."""
    foreign = set(
        Domain.objects.exclude(project=environment.project_id).filter(name__in=hosts).values_list("name", flat=True)
    )
    own = f".{environment.host}"
    return [
        host for host in hosts if f".{host}".endswith(own) or (host not in foreign and domains.covers(set(names), host))
    ]


def may_have_certificate(name: str) -> bool:
    """Whether the edge may obtain one for this name: the portal's, and those that are served."""
    return name == settings.BASE_DOMAIN or Host.objects.filter(name=name).exists()


def uploaded(name: str) -> str | None:
    """PEM of the chain and the key that somebody gave for this name; of several the one that lasts longest.

    A project's own count for its domains and the hosts below them, the operator's for every name that is served here.
    """
    owner = Domain.objects.filter(name__in=domains.above(name)).values_list("name", "project_id")
    nearest = max(owner, key=lambda each: len(each[0]), default=None)
    found: Sequence[Certificate] = []
    if nearest is not None:
        found = _fitting(Certificate.objects.filter(project_id=nearest[1]), name)
    if not found and may_have_certificate(name):
        found = _fitting(Certificate.objects.filter(project=None), name)
    return found[0].chain + decrypt(found[0].key) if found else None


def _fitting(some: QuerySet[Certificate], name: str) -> list[Certificate]:
    lasting = some.filter(expires_at__gt=timezone.now())[:_SHOWN]
    return [each for each in lasting if any(certificates.matches(one, name) for one in each.names)]
