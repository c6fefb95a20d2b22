"""Every path below SLIPWAY_HOME, spelled once. Pure: nothing here touches the disk."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    root: Path

    @property
    def database(self) -> Path:
        return self.root / "slipway.sqlite3"

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def run(self) -> Path:
        """Sockets and pid files of the portal's own processes."""
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_programs(self) -> Path:
        """One .ini per environment release or service; supervisord starts all of them when it starts."""
        return self.root / "supervisor" / "conf.d"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def web_socket(self) -> Path:
        """Alone in its folder: sandboxes that ask the portal get the folder, so that a restarted web is found again."""
        return self.run / "web" / "web.sock"

    @property
    def hook_socket(self) -> Path:
        """Where Git's hooks ask the running ssh process."""
        return self.run / "hook.sock"

    @property
    def hooks(self) -> Path:
        """Git's hooks, the same for every repository; the ssh process writes them when it starts."""
        return self.run / "hooks"

    @property
    def network(self) -> Path:
        """Whether environments have networks of their own, as the launcher found at this start, and why."""
        return self.run / "network"

    @property
    def ssh_host_key(self) -> Path:
        return self.secrets / "ssh_host_ed25519"

    @property
    def edge(self) -> Path:
        """One symlink per host, to the socket of the release that serves it."""
        return self.root / "edge"

    @property
    def certificates(self) -> Path:
        """What the edge obtained by itself, as Caddy stores it."""
        return self.root / "certificates"

    @property
    def edge_token(self) -> Path:
        """What the edge shows when it asks the portal about certificates."""
        return self.secrets / "edge.token"

    @property
    def static(self) -> Path:
        return self.root / "static"

    @property
    def templates(self) -> Path:
        """Prepared data directories that new services are copied from."""
        return self.root / "templates"

    @property
    def repositories(self) -> Path:
        return self.root / "repositories"

    def repository(self, project_id: str) -> Path:
        return self.repositories / f"{project_id}.git"

    def build(self, activity_id: str) -> Path:
        return self.root / "builds" / activity_id

    def slugs(self, project_id: str) -> Path:
        return self.root / "slugs" / project_id

    def slug(self, project_id: str, slug_id: str) -> Path:
        return self.slugs(project_id) / slug_id

    def build_cache(self, project_id: str, app: str) -> Path:
        return self.root / "caches" / project_id / app

    def environment(self, project_id: str, machine_name: str) -> Path:
        return self.root / "environments" / project_id / machine_name

    @property
    def backups(self) -> Path:
        """Stored backups, unless they go to an object store."""
        return self.root / "backups"

    def snapshot(self, activity_id: str) -> Path:
        """Data that an activity works with: copies of an environment, or what it takes out of a backup."""
        return self.root / "snapshots" / activity_id

    def scratch(self, name: str) -> Path:
        """Where a throw-away service runs; short, because of its sockets."""
        return self.root / "scratch" / name

    def mail(self, project_id: str, machine_name: str) -> Path:
        """A folder for each message that is kept, named by its row."""
        return self.environment(project_id, machine_name) / "mail"

    def sockets(self, environment_pk: int) -> Path:
        """Kept apart from the environment's folder because a Unix socket's path has at most 107 bytes."""
        return self.root / "sockets" / str(environment_pk)

    def marks(self, environment_pk: int) -> Path:
        """What the environment's nginx may see of it, and its apps not: see environments/marks.py."""
        return self.sockets(environment_pk) / "marks"
