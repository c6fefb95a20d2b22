"""nginx.conf of one release: its hosts and routes, who may visit, and what reaches which app."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from environments.routing import ResolvedRoute
from environments.runtimes.base import ASKED, UNLISTED, ReleaseSpec, RuntimeFailure
from environments.runtimes.local.nginx import redirects, transport
from environments.runtimes.local.nginx.locations import Site, Writer, longest
from environments.runtimes.local.nginx.quoting import Unsafe, host, literal

# Paths in nginx's own sandbox.
SOCKETS = "/run/sockets"
FRONT = f"{SOCKETS}/front.sock"
PROBE = f"{SOCKETS}/probe.sock"
PORTAL = "/run/portal/web.sock"
MARKS = "/run/marks"
COOKIE = "slipway_visit"
_CHALLENGE = 'Basic realm="This site is not public", charset="UTF-8"'
DRAIN = 30  # seconds that requests in flight get when the release is stopped

_HEAD = """\
daemon off;
pid /tmp/nginx.pid;
worker_processes 1;
pcre_jit on;
worker_shutdown_timeout {drain}s;
error_log stderr warn;
events {{
    worker_connections 4096;
}}
http {{
    include /nginx/mime.types;
    default_type application/octet-stream;
    charset_types text/css text/plain text/xml application/javascript application/json;
    charset utf-8;
    server_tokens off;
    absolute_redirect off;
    server_names_hash_bucket_size 512;
    variables_hash_max_size 4096;
    types_hash_max_size 4096;
    sendfile on;
    tcp_nopush on;
    etag on;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    large_client_header_buffers 8 32k;
    log_format visits '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                      '"$http_referer" "$http_user_agent" $request_time';
    log_format strangers '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                         '"$http_referer" "$http_user_agent" $request_time stranger';
    access_log /dev/stdout visits buffer=16k flush=1s if=$slipway_visitor;

    # Only the edge and we ourselves can connect; the edge says who the visitor is.
    set_real_ip_from unix:;
    real_ip_header X-Forwarded-For;

    geo $slipway_dollar {{ default "$"; }}
    map $server_addr $slipway_inside {{ default ""; "unix:{probe}" 1; }}
    map $slipway_inside $slipway_visitor {{ default 1; 1 ""; }}
    map $http_x_forwarded_proto $slipway_scheme {{ default {scheme}; http http; https https; }}
    map $slipway_scheme $slipway_tls {{ default ""; https on; }}
    map $http_upgrade $slipway_connection {{ default upgrade; "" ""; }}
    map $request_uri $slipway_path {{ "~^(?<slipway_raw>[^?]*)" $slipway_raw; }}
    map $http_accept $slipway_browser {{ default ""; "~text/html" 1; }}
    map "$slipway_ask/$slipway_browser/$http_authorization" $slipway_challenge {{
        default "";
        "~^login//" '{challenge}';
        "~^login/1/." '{challenge}';
    }}
    map $slipway_login $slipway_authorization {{ default $http_authorization; 1 ""; }}
    map $http_host $slipway_port {{ default {port}; "~:(?<slipway_given>[0-9]+)$" $slipway_given; }}
{cookies}
    gzip on;
    gzip_proxied any;
    gzip_vary on;
    gzip_min_length 1024;
    gzip_types text/css text/plain text/xml application/javascript application/json application/xml image/svg+xml;

    proxy_http_version 1.1;
    proxy_buffering off;
    proxy_buffer_size 32k;
    proxy_buffers 8 32k;
    proxy_connect_timeout 10s;
    proxy_read_timeout 300s;
    proxy_send_timeout 300s;
    proxy_set_header Host $http_host;
    proxy_set_header Connection $slipway_connection;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Proxy "";
    proxy_set_header Cookie $slipway_cookies;
    proxy_set_header Authorization $slipway_authorization;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $slipway_scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-Port $slipway_port;
    proxy_set_header X-Client-IP $remote_addr;
    proxy_set_header X-Client-SSL $slipway_tls;
    proxy_set_header X-Original-Route $slipway_route;
    proxy_set_header X-Slipway-Environment "";
    fastcgi_buffers 16 16k;
    fastcgi_buffer_size 64k;
    fastcgi_read_timeout 300s;
    fastcgi_send_timeout 300s;

{upstreams}
"""

FASTCGI = """\
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param DOCUMENT_URI $document_uri;
fastcgi_param SERVER_PROTOCOL $server_protocol;
fastcgi_param REQUEST_SCHEME $slipway_scheme;
fastcgi_param HTTPS $slipway_tls if_not_empty;
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_param SERVER_SOFTWARE nginx;
fastcgi_param REMOTE_ADDR $remote_addr;
fastcgi_param REMOTE_PORT $remote_port;
fastcgi_param SERVER_ADDR 127.0.0.1;
fastcgi_param SERVER_PORT $slipway_port;
fastcgi_param SERVER_NAME $host;
fastcgi_param REDIRECT_STATUS 200;
fastcgi_param HTTP_PROXY "";
fastcgi_param HTTP_AUTHORIZATION $slipway_authorization if_not_empty;
fastcgi_param HTTP_COOKIE $slipway_cookies if_not_empty;
fastcgi_param HTTP_X_FORWARDED_FOR $remote_addr;
fastcgi_param HTTP_X_FORWARDED_PROTO $slipway_scheme;
fastcgi_param HTTP_X_FORWARDED_HOST $http_host;
fastcgi_param HTTP_X_FORWARDED_PORT $slipway_port;
fastcgi_param HTTP_X_CLIENT_IP $remote_addr;
fastcgi_param HTTP_X_CLIENT_SSL $slipway_tls if_not_empty;
fastcgi_param HTTP_X_ORIGINAL_ROUTE $slipway_route if_not_empty;
fastcgi_param HTTP_X_SLIPWAY_ENVIRONMENT "" if_not_empty;
"""

_VISITORS = """\
    proxy_cache_path /tmp/visits keys_zone=visits:1m max_size=16m inactive=60s use_temp_path=off;
    upstream portal {{ server unix:{portal} max_fails=0; }}
"""

# What the portal says beside yes or no. In the first server too, so that they exist even where there is no route.
_ANSWERED = """\
        auth_request_set $slipway_login $upstream_http_x_slipway_login;
        auth_request_set $slipway_ask $upstream_http_x_slipway_ask;
"""

# Everyone who comes through the front door is asked for, with all that the answer may depend on; it holds for two
# seconds and, when the portal is away, for those who were let in less than a minute ago.
_CHECKED = """\
auth_request /.slipway/check;
auth_request_set $slipway_login $upstream_http_x_slipway_login;
auth_request_set $slipway_ask $upstream_http_x_slipway_ask;
error_page 401 = @slipway-visit;
location = /.slipway/check {{
    internal;
    if ($slipway_inside) {{
        return 204;
    }}
{open}\
    client_max_body_size 0;  # the request's own location says how large it may be
    proxy_pass http://portal/-/visit/check;
    proxy_pass_request_body off;
    proxy_pass_request_headers off;
    proxy_set_header Host localhost;
    proxy_set_header Connection "";
    proxy_set_header Content-Length "";
    proxy_set_header Cookie "{cookie}=$cookie_{cookie}";
    proxy_set_header Authorization $http_authorization;
    proxy_set_header X-Slipway-Environment "{key}";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $slipway_scheme;
    proxy_connect_timeout 3s;
    proxy_read_timeout 10s;
    proxy_buffering on;
    proxy_cache visits;
    proxy_cache_key "$remote_addr $cookie_{cookie} $http_authorization";
    proxy_cache_valid 204 401 2s;
    proxy_cache_lock on;
    proxy_cache_use_stale error timeout http_500 http_502 http_503 http_504;
    proxy_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires;
}}
location = /.slipway/visit {{
    proxy_pass http://portal/-/visit/enter$is_args$args;
    proxy_set_header Authorization "";
{portal}\
}}
location = /.slipway/login {{
    proxy_pass http://portal/-/visit/login$is_args$args;
    proxy_set_header Authorization $http_authorization;
{portal}\
}}
location @slipway-visit {{
    auth_request off;
    access_log /dev/stdout strangers buffer=16k flush=1s;
    default_type text/plain;
    add_header Cache-Control "no-store" always;
    add_header WWW-Authenticate $slipway_challenge always;
{kept}\
    if ($slipway_ask = wait) {{
        add_header Retry-After 60 always;
        return 429 "Too many wrong passwords. Try again in a minute.\n";
    }}
    if ($slipway_challenge) {{
        return 401 "Name and password are needed.\n";
    }}
    return 302 {start};
}}
"""

# The portal answers here in its own name: at the names of sites it lets nobody sign in.
_PORTAL = """\
    auth_request off;
    proxy_pass_request_body off;
    proxy_set_header Host localhost;
    proxy_set_header Connection "";
    proxy_set_header Content-Length "";
    proxy_set_header Cookie "";
    proxy_set_header X-Slipway-Environment "{key}";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $slipway_scheme;
"""

# Production asks only while there is something to ask: a look at a file, instead of a deployment for each change.
_OPEN = """\
    if (!-f {marks}/{asked}) {{
        return 204;
    }}
"""
_LISTED = """\
set $slipway_robots "";
if (-f {marks}/{unlisted}) {{
    set $slipway_robots "noindex, nofollow";
}}
"""

_COMMON = """\
location ^~ /.slipway/ {
    return 404;
}
error_page 502 504 @slipway-down;
location @slipway-down {
    auth_request off;
    default_type text/html;
    add_header Retry-After 5 always;
    return 502 "<!doctype html><meta name=viewport content='width=device-width'><title>The app does not answer</title>\
<h1>The app does not answer</h1><p>It may be starting, or it has failed: its log says which.</p>";
}
"""


@dataclass(frozen=True)
class Upstream:
    """Where an app listens. `servers` are what nginx's `server` takes."""

    name: str
    servers: Sequence[str]


def write(release: ReleaseSpec, sites: Mapping[str, Site], upstreams: Sequence[Upstream]) -> str:
    """The whole file. `sites` by app name. Raises RuntimeFailure for what cannot be written safely."""
    try:
        return "".join(_write(release, sites, upstreams))
    except Unsafe as error:
        message = f"The configuration of web.locations or routes cannot be used: {error}."
        raise RuntimeFailure("web-unsafe", message) from error


def _write(release: ReleaseSpec, sites: Mapping[str, Site], upstreams: Sequence[Upstream]) -> Sequence[str]:
    scheme = "https" if urlsplit(release.portal_url).scheme == "https" else "http"
    pools = [
        f"    upstream {pool.name} {{ {' '.join(f'server {server};' for server in pool.servers)} }}\n"
        for pool in upstreams
    ]
    pools.append(_VISITORS.format(portal=PORTAL))
    parts = [
        _HEAD.format(
            drain=DRAIN,
            probe=PROBE,
            scheme=scheme,
            port=443 if scheme == "https" else 80,
            cookies=_cookie_maps(),
            challenge=_CHALLENGE,
            upstreams="".join(pools),
        ),
        f"    server {{\n        listen unix:{FRONT} default_server backlog=4096;\n"
        f"        listen unix:{PROBE} default_server;\n        server_name _;\n{_ANSWERED}"
        "        return 404;\n    }\n",
    ]
    by_host: dict[str, list[ResolvedRoute]] = {}
    for route in release.routes:
        by_host.setdefault(route.host, []).append(route)
    for name, routes in by_host.items():
        lines = _server(release, name, routes, sites)
        parts.append("    server {\n" + "".join(f"        {line}\n" for line in lines) + "    }\n")
    return [*parts, "}\n"]


def _server(release: ReleaseSpec, name: str, routes: Sequence[ResolvedRoute], sites: Mapping[str, Site]) -> list[str]:
    names = " ".join(map(host, [name, *release.aliases.get(name, ())]))
    lines = [f"listen unix:{FRONT};", f"listen unix:{PROBE};", f"server_name {names};"]
    served = transport.served(routes)
    main = min(served, key=lambda route: len(route.path))
    lines.append(f"set $slipway_route {literal(main.original_url)};")
    lines += transport.to_https(routes)
    count = 0
    later: list[str] = []
    for route in sorted(served, key=lambda route: -len(route.path)):
        tests, locations = redirects.partial(route, count)
        count += len(route.redirects.paths)
        lines += tests
        later += locations
    hsts, kept = transport.strict(main)
    kept.append("add_header X-Robots-Tag $slipway_robots always;")
    lines += [*hsts, *_robots(release), *kept, *_checked(release, kept), *_COMMON.splitlines(), *later]
    return lines + _routes(served, sites, kept)


def _robots(release: ReleaseSpec) -> list[str]:
    if not release.public:
        return ['set $slipway_robots "noindex, nofollow";']
    return _LISTED.format(marks=MARKS, unlisted=UNLISTED).splitlines()


def _checked(release: ReleaseSpec, kept: Sequence[str]) -> list[str]:
    key = release.place.key
    start = f"{release.portal_url.rstrip('/')}/-/visit/start?environment={key}&host="
    return _CHECKED.format(
        cookie=COOKIE,
        key=key,
        start=literal(start)[:-1] + '$host&to=$request_uri"',
        open=_OPEN.format(marks=MARKS, asked=ASKED) if release.public else "",
        portal=_PORTAL.format(key=key),
        kept="".join(f"    {line}\n" for line in kept),
    ).splitlines()


def _routes(routes: Sequence[ResolvedRoute], sites: Mapping[str, Site], kept: Sequence[str]) -> list[str]:
    lines: list[str] = []
    paths = {_bare(route.path): route for route in routes}
    writers = {name: Writer(site, kept) for name, site in sites.items()}
    for path, route in paths.items():
        site = sites.get(route.upstream or "")
        if route.type == "upstream" and site is not None:
            for url, prefix in _reachable(path, paths, site):
                writers[site.app.name].write(url, prefix)
        elif route.type == "redirect":
            lines += _location(path, redirects.whole(route))
        else:
            lines += _location(path, ["return 502;"])
    named: dict[str, list[str]] = {}
    for writer in writers.values():
        lines += writer.written.lines
        named |= writer.written.named
    for name, body in named.items():
        lines += [f"location {name} {{", *(f"    {line}" for line in body), "}"]
    return lines


def _reachable(path: str, paths: Mapping[str, ResolvedRoute], site: Site) -> list[tuple[str, str]]:
    """(URL prefix, location) pairs of an app below a route: its locations there that no other route takes, and the
    route itself, answered by the location around it."""
    found = {prefix: prefix for prefix in site.app.locations if longest(prefix, paths) == path}
    around = longest(path, site.app.locations)
    if path not in found and around is not None:
        found[path] = around
    return sorted(found.items())


def _location(path: str, body: list[str]) -> list[str]:
    lines: list[str] = []
    for head in [f"location {literal(path if path.endswith('/') else path + '/')}"] + (
        [f"location = {literal(path)}"] if path != "/" else []
    ):
        lines += [f"{head} {{", *(f"    {line}" for line in body), "}"]
    return lines


def _bare(path: str) -> str:
    return path.rstrip("/") or "/"


def _cookie_maps() -> str:
    """The visitor's cookies without ours, wherever and however often it stands among them."""
    name, lines, source = COOKIE, [], "$http_cookie"
    for step in ("slipway_cookies_a", "slipway_cookies_b", "slipway_cookies_c"):
        first = f'"~^{name}=[^;]*(?:;\\\\s*(?<{step}_rest>.*))?$" ${step}_rest;'
        later = f'"~^(?<{step}_before>.*?);\\\\s*{name}=[^;]*(?<{step}_after>.*)$" ${step}_before${step}_after;'
        lines.append(f"    map {source} ${step} {{ default {source}; {first} {later} }}")
        source = f"${step}"
    lines.append(f'    map {source} $slipway_cookies {{ default {source}; "~(?:^|;)\\\\s*{name}=" ""; }}')
    return "\n".join(lines) + "\n"
