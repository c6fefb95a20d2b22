"""Regular expressions that people wrote into their files: only nginx itself can tell whether PCRE takes them."""

import re

from environments.manifest.problems import quoted, shown
from environments.runtimes.base import ReleaseSpec, RuntimeFailure

_COMPLAINT = re.compile(r"pcre2?_compile\(\) failed: (.+?) in \"", re.DOTALL)
_EMERGENCY = re.compile(r"\[emerg\] (?:\d+#\d+: )?(.+)")


def places(release: ReleaseSpec) -> dict[str, str]:
    """Where each pattern stands, as file and key."""
    found: dict[str, str] = {}
    for app in (program.app for program in release.programs if program.worker is None):
        for prefix, location in app.locations.items():
            for pattern in location.rules:
                found.setdefault(pattern, f"{app.config_file}: web.locations.{prefix}.rules")
    for route in release.routes:
        for pattern, redirect in route.redirects.paths.items():
            if redirect.regexp:
                found.setdefault(pattern, f"routes.yaml: {route.original_url}.redirects.paths")
    return found


def refused(output: str, found: dict[str, str]) -> RuntimeFailure:
    """What `nginx -t` said, in terms of the person's files."""
    complaint = _COMPLAINT.search(output)
    for pattern, place in found.items():
        if complaint and f'"{pattern}"' in output:
            reason = shown(complaint[1])
            message = f"{shown(place, 300)}: the pattern {quoted(pattern)} is not valid: {reason}. Allowed: PCRE."
            return RuntimeFailure("web-pattern", message)
    said = _EMERGENCY.search(output)
    reason = shown(said[1] if said else output.strip()[-300:], 300)
    return RuntimeFailure("web-refused", f"nginx does not accept what web.locations and routes become: {reason}")
