"""A project's environments as one person may see them: two queries, however many there are.

The first reads a few columns of all. What stands out is then read in full, with its states; the branches that are
folded away are only read when somebody asks for more of them than their names.
"""

from collections.abc import Iterable

from django.db.models import CharField, Exists, OuterRef, Value
from django.db.models.expressions import Combinable

from deployments.models import Activity
from deployments.views import nodes
from deployments.views.nodes import Node
from environments import access
from environments.models import Environment
from portal.access import permissions_as
from portal.enums import EnvironmentRole, EnvironmentType, ProjectRole
from portal.models import Membership
from portal.permissions import Permission

FEW = 20  # folded ones that are named beside the tree; there is a page for all
_COLUMNS = ("pk", "parent_id", "name", "title", "branch", "type", "status", "removal_at", "is_busy", "role")


class Tree:
    """`seen` has the environments that the person may see, parents before children."""

    def __init__(self, member: Membership) -> None:
        self.member = member
        self._own = Environment.objects.filter(project=member.project_id)
        self._every = {node.pk: node for node in self._read()}
        every = self._every.values()
        own = [node for node in every if node.environment_type is EnvironmentType.INTEGRATION]
        self.integration_active = sum(node.is_active for node in own)
        self.seen = nodes.in_order([node for node in every if Permission.SEE in node.allowed])
        nodes.fold(self.seen, member.project.default_branch)
        folded = [node for node in self.seen if not node.stands_out]
        self.fill([*(node for node in self.seen if node.stands_out), *folded[:FEW]])

    def fill(self, wanted: Iterable[Node]) -> None:
        """Read those that are not yet, and what stands above them: settings are looked up along the parents."""
        keys: set[int] = set()
        for node in wanted:
            above: Node | None = node
            while above is not None and not above.is_filled and above.pk not in keys:
                keys.add(above.pk)
                above = self._every.get(above.parent_id or 0)
        if not keys:
            return
        found = nodes.with_states(self._own.filter(pk__in=keys))
        for environment in found:
            environment.project = self.member.project
            self._every[environment.pk].fill(environment)
        for environment in found:
            parent = self._every.get(environment.parent_id or 0)
            environment.parent = parent.environment if parent else None

    def _fill_all(self) -> None:
        self.fill(self._every.values())

    def _read(self) -> Iterable[Node]:
        busy = Exists(Activity.objects.open().filter(environment=OuterRef("pk")))
        rows = self._own.annotate(is_busy=busy, role=self._role()).values_list(*_COLUMNS, named=True)
        rights: dict[tuple[str, str | None], frozenset[Permission]] = {}
        for row in rows:
            key = (row.type, row.role)
            if key not in rights:
                role = EnvironmentRole(row.role or EnvironmentRole.NONE)
                rights[key] = permissions_as(self.member, EnvironmentType(row.type), role)
            yield Node(
                pk=row.pk,
                parent_id=row.parent_id,
                project_id=self.member.project_id,
                name=row.name,
                title=row.title,
                branch=row.branch,
                environment_type=EnvironmentType(row.type),
                status=row.status,
                removal_at=row.removal_at,
                is_busy=row.is_busy,
                allowed=rights[key],
                read=self._fill_all,
            )

    def _role(self) -> Combinable:
        """The person's role on each environment. Who is more than a member has every right without one."""
        if self.member.role != ProjectRole.MEMBER:
            return Value(None, output_field=CharField())
        return access.role_of(self.member.user)
