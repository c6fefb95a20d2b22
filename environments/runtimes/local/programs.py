"""The programs of a release: apps, php-fpm, workers, crons and nginx, each with its sandbox."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from environments import process
from environments.manifest import Mount, schedule
from environments.manifest import cron as schedules
from environments.runtimes.base import Entry, ProgramSpec, ReleaseSpec, RuntimeFailure, Sandbox
from environments.runtimes.local import crons, entering, nginx, php, sandbox, toolbox, volumes
from environments.runtimes.local.layout import Layout, make_private
from environments.runtimes.local.network import mail_of
from environments.runtimes.local.supervisor import Program

_RUN = "/run/app"
_SCHEDULER = Path(__file__).with_name("cron.py")
_CRON_INSIDE = Path(__file__).with_name("cron_inside.py")
_CRON = "/run/slipway/cron.py"
_MIME_TYPES = Path("/etc/nginx/mime.types")
_LOGS = "/run/slipway/logs"
_TEST_LIMIT = 30  # seconds
_NGINX_MEMORY = 256 * 1024**2
_LARGEST_FILE = 16 * 1024**3


@dataclass(frozen=True)
class Planned:
    """A program to be kept running."""

    program: Program
    box: Sandbox
    extras: sandbox.Extras
    spec: Path  # its description for launch.py
    after_drain: bool  # what answers requests ends only when nginx has none left


class Plan:
    """Everything a release consists of, worked out from its description. Nothing is written before `place`."""

    def __init__(self, layout: Layout, release: ReleaseSpec, *, memory: int) -> None:
        self._layout = layout
        self._release = release
        self._memory = memory
        self._folder = layout.release(release.number)
        self._sockets = layout.release_sockets(release.number)
        self._live = live_mark(layout.front(release.number))
        self._versions = {id(program): toolbox.choose(program.app) for program in release.programs}

    def names(self) -> list[str]:
        return [planned.program.name for planned in self.programs()]

    def programs(self) -> list[Planned]:
        found = [planned for index, spec in enumerate(self._release.programs) for planned in self._of(index, spec)]
        return [*found, self._nginx()]

    def place(self) -> None:
        make_private(self._folder, self._sockets, self._layout.logs, self._layout.marks)
        for index, spec in enumerate(self._release.programs):
            make_private(self._sockets / f"a{index}")
            volumes.make_points(spec.slug, self._mounts(spec))
            self._bind_mounts(spec)
        make_private(self._folder / "nginx-tmp")
        for planned in self.programs():
            sandbox.write(planned.spec, planned.box, planned.extras)
        for index, spec in enumerate(self._release.programs):
            if spec.worker is None and spec.app.crons:
                self._write_crons(index, spec)
        group = self._release.group
        workers = {f"{group}-w{i}": spec.name for i, spec in enumerate(self._release.programs) if spec.worker}
        sandbox.write_private(worker_names(self._layout, self._release.number), workers)
        self._check_patterns()

    def misplaced(self) -> bool:
        """Whether a program of it was described before environments had networks, and so runs in the host's."""
        return any(sandbox.joins_none(planned.spec) for planned in self.programs())

    def _check_patterns(self) -> None:
        """Let nginx read its configuration if people's own patterns are in it: one that PCRE does not take would keep
        nginx from starting, and its log names no file of theirs."""
        found = nginx.places(self._release)
        if not found:
            return
        doors, planned = self._folder / "nginx-test", self._nginx()
        make_private(doors)  # nginx opens and removes what it would listen at
        argv = [*planned.box.argv, "-q", "-t"]
        box = replace(planned.box, argv=argv, writable=[(doors, nginx.SOCKETS)], label=f"{planned.box.label}-t")
        path = self._folder / "nginx-test.json"
        sandbox.write(path, box, replace(planned.extras, unlink=(), network=None))
        try:
            done = process.run(sandbox.command(path), timeout=_TEST_LIMIT, check=False)
        finally:
            path.unlink(missing_ok=True)
            sandbox.remove_groups(box.label)
        if done.code != 0:
            raise nginx.refused(done.stderr.decode("utf-8", "replace"), found)

    def once(self, name: str, script: str, path: Path) -> str:
        """Describe a script run beside a program, as that program would run it; returns its label."""
        index, spec = self._find(name)
        label = f"{self._release.group}-{path.stem}"
        files = toolbox.with_script(self._files(spec), script)
        self._make_ready(index, spec)
        sandbox.write(path, self._sandbox(index, spec, toolbox.run_script(), label), self._extras(spec, files))
        return label

    def entered(self, name: str, entry: Entry, path: Path) -> str:
        """Describe somebody's own sandbox beside a program; returns its label. The description is read once only."""
        index, spec = self._find(name)
        # Not below the release's label: it may outlive the release that it was opened on.
        label = f"e{self._release.place.key}-{path.stem}"
        self._make_ready(index, spec)
        box = self._sandbox(index, spec, toolbox.run_script(), label)
        box = replace(box, env={**box.env, **entering.environment(entry)})
        files = {**self._files(spec), **entering.files(entry)}
        sandbox.write(path, box, self._extras(spec, files, unlink=[path]))
        return label

    def _make_ready(self, index: int, spec: ProgramSpec) -> None:
        make_private(self._folder, self._sockets / f"a{index}", self._layout.logs)
        volumes.make_points(spec.slug, self._mounts(spec))

    def listens(self, app: str) -> Path | int | None:
        """The Unix socket or the port at which an app must listen; None when nothing of it runs."""
        for index, spec in enumerate(self._release.programs):
            if spec.worker is None and spec.app.name == app:
                folder = self._sockets / f"a{index}"
                if spec.app.language == "php" and spec.app.upstream.protocol == "fastcgi":
                    return folder / "fpm.sock"
                if spec.app.web.commands.start:
                    return folder / "app.sock" if spec.port is None else spec.port
        return None

    def _find(self, name: str) -> tuple[int, ProgramSpec]:
        for index, spec in enumerate(self._release.programs):
            if spec.name == name:
                return index, spec
        raise RuntimeFailure("runtime-program", f'The release has no program "{name}".', by_user=False)

    def _of(self, index: int, spec: ProgramSpec) -> Iterator[Planned]:
        if spec.worker is not None:
            commands = spec.worker.commands
            yield self._script(index, spec, f"w{index}", _start(commands.pre_start, commands.start), after=self._live)
            return
        app, version = spec.app, self._versions[id(spec)]
        if app.language == "php" and app.upstream.protocol == "fastcgi":
            yield self._fpm(index, spec, version.version)
        if app.web.commands.start:
            yield self._script(index, spec, f"a{index}", _start(app.web.commands.pre_start, app.web.commands.start))
        if app.crons:
            yield self._crons(index, spec)

    def _script(self, index: int, spec: ProgramSpec, short: str, script: str, after: Path | None = None) -> Planned:
        files = toolbox.with_script(self._files(spec), script, patient=True)
        log = self._layout.log(spec.name, "app")
        return self._planned(index, spec, short, toolbox.run_script(), files, log, after=after)

    def _fpm(self, index: int, spec: ProgramSpec, version: str) -> Planned:
        run = {php.RUN: toolbox.script(php.WATCHED)}
        files = {**self._files(spec), **php.fpm_files(spec.app, self._memory), **run}
        unlink = [self._sockets / f"a{index}" / "fpm.sock"]
        log = self._layout.log(spec.name, "php")
        return self._planned(index, spec, f"f{index}", php.argv(version), files, log, unlink=unlink)

    def _crons(self, index: int, spec: ProgramSpec) -> Planned:
        """Their scheduler, which is ours and stands outside; what is described is the sandbox of each run."""
        files = {**self._files(spec), _CRON: _CRON_INSIDE.read_text()}
        argv = [sandbox.interpreter(), "-IS", _CRON]
        planned = self._planned(index, spec, f"c{index}", argv, files, self._layout.log(spec.name, "cron"))
        command = [sandbox.interpreter(), "-IS", str(_SCHEDULER), str(self._folder / f"crons{index}.json")]
        program = replace(planned.program, command=command)
        return replace(planned, program=program, after_drain=False)

    def _write_crons(self, index: int, spec: ProgramSpec) -> None:
        """What the scheduler is given. Commands may hold what nobody else should read."""
        place, planned = self._release.place, self._crons(index, spec)
        make_private(self._layout.crons)
        given = {
            "app": spec.app.name,
            "release": self._release.number,
            "timezone": spec.app.timezone or "UTC",
            "schedule": schedule.__file__,
            "launch": sandbox.command(planned.spec)[:-1],
            "box": str(planned.spec),
            "folder": str(self._layout.crons),
            "quiet": str(self._layout.crons_quiet),
            "off": str(self._layout.crons_off),
            "lock": str(crons.lock(self._layout, spec.app.name)),
            "after": str(self._live),
            "socket": str(self._sockets / f"k{index}.sock"),
            "crons": [
                {
                    "name": name,
                    "label": f"{planned.program.name}-{number}",
                    "spec": schedules.resolve(
                        cron.spec, schedules.seed(place.project_id, place.machine_name, spec.app.name, name)
                    ),
                    "start": toolbox.script(cron.commands.start),
                    "stop": toolbox.script(cron.commands.stop) if cron.commands.stop else None,
                    "timeout": cron.timeout,
                    "shutdown_timeout": cron.shutdown_timeout,
                }
                for number, (name, cron) in enumerate(spec.app.crons.items())
            ],
        }
        sandbox.write_private(self._folder / f"crons{index}.json", given)

    def _planned(
        self,
        index: int,
        spec: ProgramSpec,
        short: str,
        argv: Sequence[str],
        files: Mapping[str, str],
        log: Path,
        *,
        unlink: Sequence[Path] = (),
        after: Path | None = None,
    ) -> Planned:
        name = f"{self._release.group}-{short}"
        path = self._folder / f"{short}.json"
        own = [self._sockets / f"a{index}" / "app.sock"] if short.startswith("a") else []
        extras = self._extras(spec, files, unlink=[*unlink, *own], after=after)
        program = Program(name, sandbox.command(path), log)
        return Planned(program, self._sandbox(index, spec, argv, name), extras, path, after_drain=after is None)

    def _sandbox(self, index: int, spec: ProgramSpec, argv: Sequence[str], label: str) -> Sandbox:
        listens = {"PORT": str(spec.port)} if spec.port is not None else {"SOCKET": f"{_RUN}/app.sock"}
        own = {} if spec.worker is not None else listens
        return Sandbox(
            argv=argv,
            env={**toolbox.environment(spec.app, self._versions[id(spec)]), **own, **spec.env},
            read_only=[(spec.slug, "/app"), (self._layout.logs, _LOGS)],
            writable=[(self._sockets / f"a{index}", _RUN)],
            cwd="/app",
            hosts={**spec.app.additional_hosts, **self._release.hosts, **spec.hosts},
            memory=self._memory,
            file_size=_LARGEST_FILE,
            label=label,
        )

    def _extras(
        self,
        spec: ProgramSpec,
        files: Mapping[str, str],
        *,
        unlink: Sequence[Path] = (),
        after: Path | None = None,
    ) -> sandbox.Extras:
        beneath = [(root, below, f"/app/{path}", True) for root, below, path in self._bind_mounts(spec)]
        return sandbox.Extras(
            beneath=beneath,
            files={**files, **toolbox.sendmail(mail_of(self._layout))},
            symlinks=self._log_links(spec),
            unlink=unlink,
            after=after,
            sendmail=toolbox.SENDMAIL,
            network=self._layout.network,
        )

    def _bind_mounts(self, spec: ProgramSpec) -> list[volumes.Bound]:
        name = spec.worker.full_name if spec.worker else spec.app.name
        return volumes.prepare(self._layout, self._release.number, spec.name, name, self._mounts(spec))

    @staticmethod
    def _mounts(spec: ProgramSpec) -> Mapping[str, Mount]:
        return spec.worker.mounts if spec.worker is not None else spec.app.mounts

    def _files(self, spec: ProgramSpec) -> dict[str, str]:
        return toolbox.files(spec.app, self._versions[id(spec)], spec.slug)

    def _log_links(self, spec: ProgramSpec) -> list[tuple[str, str]]:
        """/var/log as programs know it. Links, because a log that is rotated is a new file."""
        own = {kind: self._layout.log(spec.name, kind) for kind in ("app", "php", "cron", "deploy", "post_deploy")}
        shared = {kind: self._layout.logs / f"{kind}.log" for kind in ("access", "error")}
        return [(f"{_LOGS}/{path.name}", f"/var/log/{kind}.log") for kind, path in {**own, **shared}.items()]

    def _nginx(self) -> Planned:
        web = [(index, spec) for index, spec in enumerate(self._release.programs) if spec.worker is None]
        sites = {spec.app.name: nginx.Site(spec.app, index, f"/apps/{index}", f"app{index}") for index, spec in web}
        upstreams = [nginx.Upstream(f"app{index}", _servers(index, spec)) for index, spec in web]
        config = nginx.write(self._release, sites, upstreams)
        read_only = [(spec.slug, f"/apps/{index}") for index, spec in web]
        read_only.append((self._layout.home.web_socket.parent, nginx.PORTAL.rpartition("/")[0]))
        if self._release.public:
            read_only.append((self._layout.marks, nginx.MARKS))
        read_only += [(_MIME_TYPES, "/nginx/mime.types")]
        path = self._folder / "nginx.json"
        name = f"{self._release.group}-nginx"
        program = Program(
            name,
            sandbox.command(path),
            self._layout.logs / "access.log",
            errors=self._layout.logs / "error.log",
            stop_signal="QUIT",
            stop_wait=nginx.DRAIN + 5,
            priority=900,
        )
        box = Sandbox(
            argv=["/usr/sbin/nginx", "-e", "stderr", "-c", "/nginx/nginx.conf"],
            env={},
            read_only=read_only,
            writable=[(self._sockets, nginx.SOCKETS), (self._folder / "nginx-tmp", "/tmp")],  # noqa: S108
            memory=_NGINX_MEMORY,
            label=name,
        )
        extras = sandbox.Extras(
            beneath=[
                (root, below, f"/apps/{index}/{where}", False)
                for index, spec in web
                for root, below, where in self._bind_mounts(spec)
            ],
            files={"/nginx/nginx.conf": config, "/nginx/fastcgi.conf": nginx.FASTCGI},
            symlinks=[link for site in sites.values() for link in site.links()],
            unlink=[self._layout.front(self._release.number), self._layout.probe(self._release.number)],
            network=self._layout.network,
        )
        return Planned(program, box, extras, path, after_drain=False)


def worker_names(layout: Layout, number: int) -> Path:
    """Tells which of a release's programs is which worker."""
    return layout.release(number) / "workers.json"


def live_mark(front: Path) -> Path:
    """Beside its front socket, a release that serves has this file; its workers and crons wait for it."""
    return front.with_name("live")


def _start(pre_start: str | None, start: str) -> str:
    """Both commands in one script. What runs before the start must not keep it from starting."""
    if not pre_start:
        return start
    return f"(\n{pre_start}\n) || echo 'pre_start failed'\n{start}"


def _servers(index: int, spec: ProgramSpec) -> list[str]:
    upstream = spec.app.upstream
    if spec.app.language == "php" and upstream.protocol == "fastcgi":
        return [f"unix:{nginx.SOCKETS}/a{index}/fpm.sock max_fails=0"]
    if spec.port is None:
        return [f"unix:{nginx.SOCKETS}/a{index}/app.sock max_fails=0"]
    # Some listen on "localhost" and get the one of the two addresses that nobody expects.
    return [f"127.0.0.1:{spec.port} max_fails=0", f"[::1]:{spec.port} max_fails=0 backup"]
