"""Redirects of routes: whole routes, and the partial ones of `redirects.paths`.

They are matched against the request's target as it was sent, still encoded: a decoded path in a Location header could
carry a line break into it.
"""

import re

from environments.manifest.routes import PartialRedirect
from environments.routing import ResolvedRoute
from environments.runtimes.local.nginx.quoting import captures, literal, quote, template

_QUERY = r"(?<slipway_query>\?.*)?$"
# What a target may use of the request, and where it comes from here.
_REQUEST = {"uri": "${slipway_path}", "args": "${args}", "is_args": "${is_args}"}
_RETURNED = "/.slipway/redirect/{}"


def whole(route: ResolvedRoute) -> list[str]:
    """The inside of a location that redirects all of its requests, keeping the rest of the path."""
    target = (route.to or "/").rstrip("/")
    if route.path == "/":
        return [f'return 301 "{literal(target)[1:-1]}$request_uri";']
    pattern = "^" + re.escape(route.path.rstrip("/")) + r"(?<slipway_rest>/[^?]*)?" + _QUERY
    return [
        f"if ($request_uri ~ {quote(pattern)}) {{",
        f'    return 301 "{literal(target)[1:-1]}$slipway_rest$slipway_query";',
        "}",
        f"return 301 {literal(target + '/')};",
    ]


def partial(route: ResolvedRoute, first: int) -> tuple[list[str], list[str]]:
    """(what stands in the server, in order; locations) for the partial redirects of a route, numbered from `first`.

    The test stands in the server, before any location, and leads to a location of its own, the only kind of place
    where a redirect can have a cache time.
    """
    tests: list[str] = []
    locations: list[str] = []
    for number, (path, redirect) in enumerate(route.redirects.paths.items(), first):
        name = _RETURNED.format(number)
        pattern, target = _pattern_and_target(route, path, redirect)
        source = "$slipway_path" if redirect.regexp else "$request_uri"
        tests += [f"if ({source} ~ {quote(pattern)}) {{", f"    set $slipway_to {target};"]
        tests += [f"    rewrite ^ {name} last;", "}"]
        expires = route.redirects.expires if redirect.expires is None else redirect.expires
        caching = [f"    expires {expires}s;"] if expires >= 0 else []
        locations += [f"location = {name} {{", "    internal;", *caching]
        locations += [f"    return {redirect.code} $slipway_to;", "}"]
    return tests, locations


def _pattern_and_target(route: ResolvedRoute, path: str, redirect: PartialRedirect) -> tuple[str, str]:
    if redirect.regexp:
        return path, template(redirect.to, {**captures(path), **_REQUEST, **_arguments(redirect.to)})
    start = re.escape(path.rstrip("/"))
    target = literal(redirect.to.rstrip("/") if redirect.append_suffix and redirect.prefix else redirect.to)
    if not redirect.prefix:
        return f"^{re.escape(path)}{_QUERY}", f'"{target[1:-1]}$slipway_query"'
    pattern = f"^{start}(?<slipway_rest>/[^?]*)?{_QUERY}"
    if not redirect.append_suffix:
        return pattern, target
    return pattern, f'"{target[1:-1]}$slipway_rest$slipway_query"'


def _arguments(target: str) -> dict[str, str]:
    return {name: f"${{{name}}}" for name in re.findall(r"arg_\w+", target)}
