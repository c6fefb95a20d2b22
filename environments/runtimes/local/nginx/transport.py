"""http and https of one host: which of its routes answer, what leads from one to the other, and for how long browsers
shall remember to come by https."""

import re
from collections.abc import Sequence

from environments.routing import ResolvedRoute
from environments.runtimes.local.nginx.quoting import literal, quote

_YEAR = 365 * 86400
_REST = r"(?<slipway_rest>/[^?]*)?(?<slipway_query>\?.*)?$"


def served(routes: Sequence[ResolvedRoute]) -> list[ResolvedRoute]:
    """One route for each path. Where there are two, the https one says what is there, unless it only leads away."""
    best: dict[str, ResolvedRoute] = {}
    for route in sorted(routes, key=lambda route: (route.scheme != "https", route.type != "upstream")):
        known = best.get(route.path)
        if known is None or (route.type == "upstream" and known.type != "upstream"):
            best[route.path] = route
    return [route for route in routes if best[route.path] is route]


def to_https(routes: Sequence[ResolvedRoute]) -> list[str]:
    """What visitors by http get where something else answers by https: a redirect, or the route that says http."""
    secure = {route.path for route in routes if route.scheme == "https" and route.type == "upstream"}
    plain = sorted(
        (route for route in routes if route.scheme == "http" and route.path in secure),
        key=lambda route: -len(route.path),
    )
    if not any(route.type == "redirect" for route in plain):
        return []
    lines = ['set $slipway_plain "$slipway_scheme$request_uri";']
    for route in plain:
        pattern = "^http" + re.escape(route.path.rstrip("/")) + _REST
        lines.append(f"if ($slipway_plain ~ {quote(pattern)}) {{")
        if route.type == "redirect":
            target = literal((route.to or "/").rstrip("/"))[1:-1]
            lines.append(f'    return 301 "{target}$slipway_rest$slipway_query";')
        else:
            lines.append('    set $slipway_plain "";')
        lines.append("}")
    return lines


def strict(main: ResolvedRoute) -> tuple[list[str], list[str]]:
    """(what stands in the server, headers of every answer) for `strict_transport_security` of a host's main route."""
    wish = main.tls.strict_transport_security
    if main.scheme != "https" or wish is None or not wish.enabled:
        return [], []
    words = [f"max-age={_YEAR}"]
    words += ["includeSubDomains"] if wish.include_subdomains else []
    words += ["preload"] if wish.preload else []
    value = "; ".join(words)
    lines = ['set $slipway_strict "";', "if ($slipway_scheme = https) {", f'    set $slipway_strict "{value}";', "}"]
    return lines, ["add_header Strict-Transport-Security $slipway_strict always;"]
