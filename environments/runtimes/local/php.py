"""php-fpm of an app: its configuration, its ini files, and the extensions that are on."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from environments.manifest import App
from environments.runtimes.local.languages import program

SCAN = "/run/php/conf.d"
_CONFIG = "/run/php/fpm.conf"
RUN = "/run/php/run"
_SOCKET = "/run/app/fpm.sock"
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*\Z")
_MAX_INI = 256 * 1024
_DEFAULTS = (
    "sendmail_path = /run/slipway/bin/sendmail -t -i\n"
    "opcache.enable_cli=0\nopcache.memory_consumption=64\nopcache.max_accelerated_files=16000\n"
)

# php-fpm makes a session of its own, where a signal to the process group does not find it.
WATCHED = f"""\
"$1" --nodaemonize --fpm-config {_CONFIG} -c "$2" &
fpm=$!
trap 'kill -QUIT $fpm' TERM
while kill -0 $fpm 2>/dev/null; do wait $fpm; code=$?; done
exit $code
"""

_FPM = """\
[global]
daemonize = no
error_log = /dev/stderr
log_limit = 8192
process_control_timeout = 10s

[web]
listen = {socket}
listen.mode = 0600
listen.backlog = 1024
pm = ondemand
pm.max_children = {children}
pm.process_idle_timeout = 120s
pm.max_requests = 1000
clear_env = no
catch_workers_output = yes
decorate_workers_output = no
security.limit_extensions = .php
{timeout}
"""


def argv(version: str) -> list[str]:
    fpm = program(f"php-fpm{version}") or f"/usr/sbin/php-fpm{version}"
    return ["/bin/dash", RUN, fpm, f"/etc/php/{version}/fpm/php.ini"]


def fpm_files(app: App, memory: int) -> dict[str, str]:
    """Where in the sandbox -> what, for php-fpm alone."""
    timeout = app.runtime.request_terminate_timeout
    hints = app.runtime.sizing_hints
    fits = (memory // 1024**2 - hints.reserved_memory) // max(1, hints.request_memory)
    text = _FPM.format(
        socket=_SOCKET,
        children=max(2, min(50, fits)),
        timeout=f"request_terminate_timeout = {timeout}s" if timeout else "",
    )
    return {_CONFIG: text}


def ini_files(app: App, version: str, slug: Path) -> dict[str, str]:
    """The ini files that fpm and the command line read: extensions, the app's own php.ini, its `php:` variables."""
    return {
        f"{SCAN}/00-extensions.ini": _extensions(app, version),
        f"{SCAN}/10-defaults.ini": _DEFAULTS,
        f"{SCAN}/50-app.ini": _own_ini(slug),
        f"{SCAN}/90-variables.ini": _settings(app.variables.get("php", {})),
    }


def warnings(app: App, version: str) -> list[str]:
    """What the app asks of PHP and this host lacks."""
    have = available(version)
    missing = sorted({ext.name for ext in app.runtime.extensions} - have, key=str.lower)
    found = [
        f'The PHP extension "{name}" is not installed on this host.' for name in missing if name.lower() not in have
    ]
    bad = [key for key in app.variables.get("php", {}) if not _KEY.match(key)]
    return found + [f'The variable "php:{key}" is ignored: that cannot be the name of a setting.' for key in bad]


def available(version: str) -> set[str]:
    """Extensions that are installed, in lower case, those built into PHP included."""
    built_in = "core ctype date filter hash json openssl pcre posix random reflection session sodium spl standard zlib"
    modules = {path.stem for path in Path("/etc/php", version, "mods-available").glob("*.ini")}
    return modules | set(built_in.split()) | {"mysql", "pdo"}


def _extensions(app: App, version: str) -> str:
    """Debian's own list, in its order, without what the app does not want."""
    unwanted = {name.lower() for name in app.runtime.disabled_extensions}
    parts = []
    for path in sorted(Path("/etc/php", version, "fpm", "conf.d").glob("*.ini")):
        name = re.sub(r"^\d+-", "", path.stem)
        if name.lower() not in unwanted:
            parts.append(path.read_text(errors="replace"))
    for extension in app.runtime.extensions:
        parts.append(_settings(extension.configuration))
    return "\n".join(parts)


def _own_ini(slug: Path) -> str:
    """php.ini in the app's folder; a link, a folder, or more than fits is not read."""
    try:
        descriptor = os.open(slug / "php.ini", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return os.read(descriptor, _MAX_INI).decode("utf-8", "replace")
        finally:
            os.close(descriptor)
    except OSError:
        return ""


def _settings(values: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in values.items() if _KEY.match(key))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    text = re.sub(r"[\x00-\x1f\x7f]", " ", str(value))
    if re.match(r"[A-Za-z0-9_.-]+\Z", text):
        return text
    return "'" + text + "'" if "'" not in text else '"' + re.sub(r'(["\\$])', r"\\\1", text) + '"'
