"""RabbitMQ: one node for each environment, on its own address, without guest, plugins or a shared epmd.

It is administrated through a Unix socket of our own (see _DOOR): `rabbitmqctl` would need Erlang's distribution, which
cannot be reached from outside of the environment's network. Users, virtual hosts and rights are in a file of
definitions that the node reads at each start, and again when it is told to.
"""

import base64
import hashlib
import json
import os
import re
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from environments.backing import base, files, grants
from environments.runtimes.base import RuntimeFailure, Sandbox, ServiceSpec
from portal.errors import Invalid

USER = "app"
_ROOT = Path("/usr/lib/rabbitmq/lib")
_VHOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}\Z")
_MAX_VHOSTS = 32
_MEMORY = 256 * 1024**2  # publishers are held up above it
_LIMIT = 1024**3
_PATIENCE = 20.0  # seconds for an answer through the door
_PORTS = range(61001, 65500, 2)  # above those that the kernel hands out: for epmd, and the next one for the node

_CONF = """\
listeners.tcp.1 = {address}:{port}
load_definitions = {definitions}
log.console = true
log.console.level = warning
log.file = false
vm_memory_high_watermark.absolute = {memory}
disk_free_limit.absolute = 100MB
loopback_users.guest = true
"""

# One question a connection: "ready", or "load": read the definitions again, and let the user into no other hosts.
_DOOR = """\
Path = "{socket}",
file:delete(Path),
Import = fun() ->
    {{ok, Text}} = file:read_file("{definitions}"),
    Wanted = [maps:get(<<"name">>, Each) || Each <- maps:get(<<"vhosts">>, rabbit_json:decode(Text))],
    ok = rabbit_definitions:import_raw(Text),
    [rabbit_auth_backend_internal:clear_permissions(<<"{user}">>, Host, <<"slipway">>)
        || Row <- rabbit_auth_backend_internal:list_user_permissions(<<"{user}">>),
           Host <- [proplists:get_value(vhost, Row)], not lists:member(Host, Wanted)],
    [rabbit_auth_backend_internal:delete_user(Name, <<"slipway">>)
        || Row <- rabbit_auth_backend_internal:list_users(),
           Name <- [proplists:get_value(user, Row)], Name =/= <<"{user}">>],
    "done"
end,
Answer = fun("ready\\n") -> case rabbit:is_running() of true -> "yes"; _ -> "no" end;
            ("load\\n") -> Import();
            (_) -> "what?"
         end,
spawn(fun() ->
    {{ok, Door}} = gen_tcp:listen(0, [{{ifaddr, {{local, Path}}}}, list, {{packet, line}}, {{active, false}}]),
    Loop = fun(Again) ->
        {{ok, Link}} = gen_tcp:accept(Door),
        case gen_tcp:recv(Link, 0, 5000) of
            {{ok, Line}} ->
                Said = try Answer(Line) catch _:Why -> io_lib:format("failed: ~0p", [Why]) end,
                gen_tcp:send(Link, [Said, "\\n"]);
            _ -> ok
        end,
        gen_tcp:close(Link),
        Again(Again)
    end,
    Loop(Loop)
end).
"""


class RabbitMQ(base.Copied):
    name = "rabbitmq"
    types: Sequence[str] = ("rabbitmq",)
    port = 5672

    def versions(self) -> Sequence[str]:
        return _versions()

    def check(self, configuration: Mapping[str, Any]) -> Sequence[str]:
        grants.refuse_unknown(configuration, ("vhosts", "endpoints", "rotate_passwords"))
        _vhosts(configuration)
        ignored = ["endpoints are ignored: there is one, rabbitmq, with access to every virtual host."]
        return ignored if configuration.get("endpoints") else []

    def endpoints(self, asked: str, configuration: Mapping[str, Any]) -> Sequence[str]:
        return ["rabbitmq"]

    def new_secrets(self, configuration: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> dict[str, Any]:
        known = known or {}
        return {name: known.get(name) or grants.password() for name in ("application", "cookie")}

    def prepare(self, version: str) -> None:
        """Nothing: a node makes its database anew in a second of the several that its start takes."""

    def create(self, spec: ServiceSpec, data: Path, sockets: Path) -> None:
        home, folder = files.private_folder(data.parent), base.socket_directory(spec, sockets)
        files.private_folder(folder)
        files.private_folder(data)
        definitions = home / "definitions.json"
        conf = _CONF.format(address=spec.address, port=spec.port, definitions=definitions, memory=_MEMORY)
        door = _DOOR.format(socket=_socket(spec, sockets), definitions=definitions, user=USER)
        _replace(home / "rabbitmq.conf", conf)
        _replace(home / "door.erl", door)
        _replace(definitions, _definitions(spec))
        _replace(data / ".erlang.cookie", spec.secrets["cookie"])

    def program(self, spec: ServiceSpec, data: Path, sockets: Path) -> Sandbox:
        home, folder = data.parent, base.socket_directory(spec, sockets)
        address = spec.address.replace(".", ",")
        own = _PORTS[int(IPv4Address(spec.address)) % len(_PORTS)]
        arguments = [
            "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none",
            f"-kernel inet_dist_use_interface {{{address}}}",
            f'-eval file:eval("{home / "door.erl"}")',
        ]
        env = {
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "HOME": str(data),
            "PATH": "/usr/bin:/bin",
            "RUNNING_UNDER_SYSTEMD": "yes",  # the node takes the place of the shell that starts it
            "RABBITMQ_NODENAME": "rabbit@localhost",  # its data is bound to the name: the same wherever it is copied
            "RABBITMQ_MNESIA_BASE": str(data),
            "RABBITMQ_LOG_BASE": str(data),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": "/dev/null",
            "RABBITMQ_GENERATED_CONFIG_DIR": str(data / "config"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(data / "feature_flags"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(arguments),
            "ERL_EPMD_ADDRESS": spec.address,
            "ERL_EPMD_PORT": str(own),
            "RABBITMQ_DIST_PORT": str(own + 1),
            "ERL_CRASH_DUMP_SECONDS": "0",
        }
        read_only = [home / name for name in ("rabbitmq.conf", "door.erl", "definitions.json")]
        return Sandbox(
            argv=base.exclusive(data, [str(_server(spec.version))]),
            env=env,
            read_only=[(path, str(path)) for path in read_only],
            writable=[(path, str(path)) for path in (data, folder)],
            cwd=str(data),
            memory=_LIMIT,
            label=base.label(spec),
        )

    def ready(self, spec: ServiceSpec, sockets: Path) -> bool:
        try:
            return _ask(spec, sockets, "ready") == "yes"
        except OSError:
            return False

    def configure(self, spec: ServiceSpec, sockets: Path) -> None:
        try:
            answer = _ask(spec, sockets, "load")
        except OSError as error:
            answer = str(error)
        if answer != "done":
            message = f'RabbitMQ refused the configuration of the service "{spec.name}": {answer[:300]}'
            raise RuntimeFailure("service-configuration", message, by_user=False)

    def relationship(self, spec: ServiceSpec, relationship: str, endpoint: str) -> dict[str, Any]:
        name = base.pick_endpoint(spec, endpoint, self.endpoints(spec.asked, spec.configuration))
        return base.entry(
            spec,
            relationship,
            name,
            scheme="amqp",
            username=USER,
            password=spec.secrets["application"],
            path=None,
            query=[],
        )


def _vhosts(configuration: Mapping[str, Any]) -> list[str]:
    """ "/" is always there. Raises Invalid."""
    given = configuration.get("vhosts") or []
    if not isinstance(given, list | tuple):
        raise Invalid("This is to be a list of names.", field="vhosts")
    if len(given) > _MAX_VHOSTS:
        raise Invalid(f"There are {len(given)} virtual hosts; {_MAX_VHOSTS} are possible.", field="vhosts")
    for name in given:
        if not isinstance(name, str) or not _VHOST.match(name):
            raise Invalid("Names of virtual hosts have letters, digits, _ and -, up to 63.", field="vhosts")
    return list(dict.fromkeys(["/", *given]))


def _definitions(spec: ServiceSpec) -> str:
    hosts = _vhosts(spec.configuration)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return json.dumps(
        {
            "users": [
                {
                    "name": USER,
                    "password_hash": _hash(spec.secrets["application"]),
                    "hashing_algorithm": "rabbit_password_hashing_sha256",
                    "tags": [],
                }
            ],
            "vhosts": [{"name": name} for name in hosts],
            "permissions": [{"user": USER, "vhost": name, **everything} for name in hosts],
        }
    )


def _hash(password: str) -> str:
    """As RabbitMQ keeps passwords. The salt follows from the password, so that the same file is written each time."""
    salt = hashlib.sha256(b"salt" + password.encode()).digest()[:4]
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _ask(spec: ServiceSpec, sockets: Path, question: str) -> str:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_PATIENCE)
        link.connect(str(_socket(spec, sockets)))
        link.sendall(f"{question}\n".encode())
        said = b""
        while piece := link.recv(4096):
            said += piece
        return said.decode("utf-8", "replace").strip()


def _socket(spec: ServiceSpec, sockets: Path) -> Path:
    return base.socket_directory(spec, sockets) / "door.sock"


def _replace(path: Path, text: str) -> None:
    """In place: the program has the file itself bound into its sandbox, and would not see another of that name."""
    if path.exists() and path.read_text() == text:
        return
    if not path.exists():
        files.write_private(path, text)
        path.chmod(0o400 if path.name == ".erlang.cookie" else 0o600)
        return
    path.chmod(0o600)
    with open(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC), "w") as handle:
        handle.write(text)
    path.chmod(0o400 if path.name == ".erlang.cookie" else 0o600)


def _server(version: str) -> Path:
    found = sorted(_ROOT.glob(f"rabbitmq_server-{version}.*/sbin/rabbitmq-server"))
    return found[-1] if found else Path("/usr/sbin/rabbitmq-server")


@lru_cache(maxsize=1)
def _versions() -> tuple[str, ...]:
    """Read off the folder: asking the program takes a start of Erlang."""
    found = (re.match(r"rabbitmq_server-(\d+\.\d+)\.", path.name) for path in _ROOT.glob("rabbitmq_server-*"))
    return tuple(sorted({match[1] for match in found if match}, key=lambda text: [int(n) for n in text.split(".")]))
