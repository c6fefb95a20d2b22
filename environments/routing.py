"""Where the routes of a manifest are on one environment: patterns with `{default}` and `{all}` -> real URLs."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from environments.manifest import Manifest, ManifestError, Problem, Route
from environments.manifest.problems import quoted
from environments.manifest.routes import PartialRedirect, Redirects, RouteCache, Ssi, Sticky, Tls

MAX_BYTES = 98_000  # of PLATFORM_ROUTES as JSON: as base64 in one variable that is 128 KiB, the most Linux allows

Scheme = Literal["http", "https"]

_HOST = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*\Z")
MAX_HOST = 107  # the edge connects to a Unix socket of that name, and such a path has no more bytes
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class ResolvedRoute:
    """A route as it is on one environment.

    `url` ends with a slash and has the port when it is not the usual one; `host` and `path` are its parts, `path` with
    slashes around it. `upstream` is the name of an app (or of a service such as Varnish), with `endpoint`. For
    redirects and proxies `to` is resolved: a URL, or a path of the same host. So are the targets in `redirects.paths`.
    """

    url: str
    original_url: str
    scheme: Scheme
    host: str
    path: str
    type: Literal["upstream", "redirect", "proxy"]
    upstream: str | None = None
    endpoint: str | None = None
    to: str | None = None
    primary: bool = False
    id: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    redirects: Redirects = field(default_factory=Redirects)
    cache: RouteCache = field(default_factory=RouteCache)
    ssi: Ssi = field(default_factory=Ssi)
    tls: Tls = field(default_factory=Tls)
    sticky: Sticky = field(default_factory=Sticky)

    @property
    def wildcard(self) -> bool:
        return self.host.startswith("*.")


def resolve(
    manifest: Manifest,
    *,
    default_host: str,
    domains: Sequence[str] = (),
    production: bool = False,
    scheme: Scheme = "http",
    port: int | None = None,
) -> tuple[ResolvedRoute, ...]:
    """The routes of the manifest in the order of the file, with at most one for each URL.

    `default_host` is the environment's generated host, `domains` those of Production: the first is what {default}
    means there, and {all} is each of them.
    Absolute hosts stay as they are on Production and are put before the generated host elsewhere. Where only http is
    served, https routes are served as http, and the redirects that would have led there are left out, as are redirects
    that lead to themselves. Raises ManifestError for hosts that DNS cannot know.
    """
    names = _Names(default_host, tuple(domains) if production else (), production, scheme, port)
    kept = _one_per_url([(route, each) for route in manifest.routes for each in names.routes(route)], manifest)
    own = {(entry.scheme, entry.host) for entry in kept}
    hosts = {host for _, host in own}
    kept = [_resolve_targets(entry, names, hosts) for entry in kept]
    kept = _without_loops(kept)
    if scheme == "https":
        kept += _to_https(kept)
    resolved = tuple(_with_primary(kept, manifest))
    if len(json.dumps(platform_routes(resolved))) > MAX_BYTES:
        place = f".{manifest.flavour}/routes.yaml"
        raise ManifestError([Problem(place, None, "", f"The routes take more than {MAX_BYTES // 1000} KB as JSON.")])
    return resolved


def partial_redirects(resolved: Iterable[ResolvedRoute], most: int = 200) -> dict[str, list[dict[str, Any]]]:
    """By URL of their route, to be shown: of very many the first ones."""
    return {
        route.url: [
            {"path": path, "to": each.to, "code": each.code, "regexp": each.regexp}
            for path, each in list(route.redirects.paths.items())[:most]
        ]
        for route in resolved
        if route.redirects.paths
    }


def aliases(resolved: Iterable[ResolvedRoute], default_host: str) -> dict[str, list[str]]:
    """By host of a route on a domain of its own: the generated hosts that go on meaning the same."""
    found: dict[str, list[str]] = {}
    seen = set()
    for route in resolved:
        pattern = route.original_url.partition("://")[2].partition("/")[0]
        generated = pattern.replace("{default}", default_host).replace("{all}", default_host)
        if generated not in (pattern, route.host) and (generated, route.host) not in seen:
            seen.add((generated, route.host))
            if all(generated not in others for others in found.values()):
                found.setdefault(route.host, []).append(generated)
    return found


def platform_routes(resolved: Iterable[ResolvedRoute]) -> dict[str, Any]:
    """PLATFORM_ROUTES: by URL, without partial redirects."""
    return {route.url: _platform_route(route) for route in resolved}


@dataclass(frozen=True)
class _Names:
    default_host: str
    domains: tuple[str, ...]
    production: bool
    scheme: Scheme
    port: int | None

    def host(self, pattern: str, domain: str = "") -> str:
        base = domain or (self.domains[0] if self.domains else self.default_host)
        host = pattern.replace("{default}", base).replace("{all}", base)
        if host == pattern and not self.production:
            host = f"{pattern}.{self.default_host}"
        return host

    def served_as(self, scheme: str) -> Scheme:
        """Without TLS everything is http."""
        return "https" if scheme == "https" and self.scheme == "https" else "http"

    def url(self, scheme: Scheme, host: str, rest: str) -> str:
        port = self.port if scheme == self.scheme else None
        suffix = f":{port}" if port and port != _PORTS[scheme] else ""
        return f"{scheme}://{host}{suffix}{rest}"

    def routes(self, route: Route) -> list[ResolvedRoute]:
        domains = self.domains if "{all}" in route.url else self.domains[:1]
        return [self.route(route, domain) for domain in domains or ("",)]

    def route(self, route: Route, domain: str) -> ResolvedRoute:
        asked, _, rest = route.url.partition("://")
        pattern, _, path = rest.partition("/")
        scheme, host = self.served_as(asked), self.host(pattern, domain)
        kind: Any = route.type
        return ResolvedRoute(
            url=self.url(scheme, host, f"/{path}"),
            original_url=route.url,
            scheme=scheme,
            host=host,
            path=f"/{path}",
            type=kind,
            upstream=route.upstream_name if route.type == "upstream" else None,
            endpoint=route.upstream_endpoint if route.type == "upstream" else None,
            to=None if route.type == "upstream" else route.to,
            primary=bool(route.primary),
            id=route.id,
            attributes=route.attributes,
            redirects=route.redirects,
            cache=route.cache,
            ssi=route.ssi,
            tls=route.tls,
            sticky=route.sticky,
        )

    def target(self, to: str, own_hosts: set[str]) -> str:
        """A target with its placeholders filled in. One that is a route of ours becomes the URL it has here."""
        if not to.startswith(("http://", "https://")):
            return to
        asked, _, rest = to.partition("://")
        end = min((index for index in (rest.find(mark) for mark in "/?#") if index >= 0), default=len(rest))
        pattern, tail = rest[:end].lower(), rest[end:]
        host = self.host(pattern)
        if host not in own_hosts and "{" not in pattern:
            return to
        return self.url(self.served_as(asked), host, tail or "/")


def _one_per_url(found: Sequence[tuple[Route, ResolvedRoute]], manifest: Manifest) -> list[ResolvedRoute]:
    """https before http, which mostly leads to it; `{default}` before named hosts before `{all}`; then the first."""
    best: dict[str, tuple[tuple[bool, int], ResolvedRoute]] = {}
    problems = []
    for route, resolved in found:
        if not _HOST.match(resolved.host) or len(resolved.host) > MAX_HOST:
            place = manifest.place("route", route.url)
            message = f"The host {quoted(resolved.host)} that this makes is not one that DNS allows."
            allowed = f"labels of up to 63 letters and digits, {MAX_HOST} characters together"
            problems.append(Problem(place.file, place.line, route.url, message, allowed))
        rank = (route.url.startswith("http://"), 0 if "{default}" in route.url else 2 if "{all}" in route.url else 1)
        if resolved.url not in best or rank < best[resolved.url][0]:
            best[resolved.url] = (rank, resolved)
    if problems:
        raise ManifestError(problems)
    kept = {id(resolved) for _, resolved in best.values()}
    return [resolved for _, resolved in found if id(resolved) in kept]


def _resolve_targets(route: ResolvedRoute, names: _Names, hosts: set[str]) -> ResolvedRoute:
    def partial(redirect: PartialRedirect) -> PartialRedirect:
        return redirect.changed(to=names.target(redirect.to, hosts))

    if route.redirects.paths:
        paths = {path: partial(redirect) for path, redirect in route.redirects.paths.items()}
        route = replace(route, redirects=route.redirects.changed(paths=paths))
    return replace(route, to=names.target(route.to, hosts)) if route.to else route


def _without_loops(routes: list[ResolvedRoute]) -> list[ResolvedRoute]:
    """Whole-route redirects that end where they began can only turn in circles: they are left out."""
    targets = {_normal(route.url): _normal(route.to) for route in routes if route.type == "redirect" and route.to}

    def turns(url: str) -> bool:
        seen = set()
        while url in targets and url not in seen:
            seen.add(url)
            url = targets[url]
        return url in seen

    return [route for route in routes if not (route.type == "redirect" and turns(_normal(route.url)))]


def _normal(url: str) -> str:
    return url if url.endswith("/") else url + "/"


def _to_https(routes: list[ResolvedRoute]) -> list[ResolvedRoute]:
    """For each https route without an http one, the redirect that is always there."""
    plain = {(route.host, route.path) for route in routes if route.scheme == "http"}
    return [
        ResolvedRoute(
            url=f"http://{route.host}{route.path}",
            original_url=route.original_url.replace("https://", "http://", 1),
            scheme="http",
            host=route.host,
            path=route.path,
            type="redirect",
            to=route.url,
        )
        for route in routes
        if route.scheme == "https" and (route.host, route.path) not in plain
    ]


def _with_primary(routes: list[ResolvedRoute], manifest: Manifest) -> Iterable[ResolvedRoute]:
    """Exactly one is primary: the one that says so, else the first that reaches an app."""
    apps = {app.name for app in manifest.apps}
    ranked = sorted(routes, key=lambda route: (not route.primary, route.type != "upstream", route.upstream not in apps))
    primary = ranked[0].url if ranked and ranked[0].type == "upstream" else None
    return (replace(route, primary=route.url == primary) for route in routes)


def _platform_route(route: ResolvedRoute) -> dict[str, Any]:
    described: dict[str, Any] = {
        "primary": route.primary,
        "id": route.id,
        "attributes": dict(route.attributes),
        "type": route.type,
        "original_url": route.original_url,
        "tls": route.tls.model_dump(mode="json"),
    }
    if route.type != "upstream":
        return described | {"to": route.to}
    return described | {
        "upstream": route.upstream,
        "cache": route.cache.model_dump(mode="json"),
        "ssi": route.ssi.model_dump(mode="json"),
        "sticky": route.sticky.model_dump(mode="json"),
    }
