"""The edge's configuration. It never changes while an instance runs: a host is a symlink, switched by a rename."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import Refused
from launcher.home import Layout

_LONGEST_DOMAIN = 43  # with one label before it, a host still fits what a Unix socket's path may have, 107 bytes
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")


def check_domain(domain: str) -> str:
    if not _DOMAIN.match(domain) or len(domain) > _LONGEST_DOMAIN:
        raise Refused(
            f"SLIPWAY_BASE_DOMAIN is {domain!r}; it must be a domain in lower case, such as example.com, "
            f"of at most {_LONGEST_DOMAIN} characters"
        )
    return domain


def parse_proxies(text: str) -> list[str]:
    """Addresses and ranges of the proxies whose word about the visitor's address counts."""
    try:
        return [str(ipaddress.ip_network(part, strict=False)) for part in re.split(r"[\s,]+", text) if part]
    except ValueError as error:
        raise Refused(
            f"SLIPWAY_TRUSTED_PROXIES: {error}; give addresses or ranges, such as 192.0.2.4 10.0.0.0/8"
        ) from error


def host_pattern(domain: str = "") -> str:
    """The hosts that may name a symlink: labels of our own grammar before the domain, or any of such labels alone."""
    end = re.escape(domain).replace("/", "") if domain else "[a-z0-9-]{1,63}"
    return rf"\A(?:[a-z0-9-]{{1,63}}\.){{1,12}}{end}(?::[0-9]{{1,5}})?\z"


def write_pages(source: Path, folder: Path) -> str:
    """Put the pages where the edge reads them; returns their Content-Security-Policy, made from their one style."""
    folder.mkdir(exist_ok=True)
    hashes = set()
    for page in sorted(source.glob("*.html")):
        text = page.read_text()
        (folder / page.name).write_text(text)
        for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL):
            hashes.add("'sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() + "'")
    return f"default-src 'none'; style-src {' '.join(sorted(hashes))}; frame-ancestors 'none'; base-uri 'none'"


@dataclass(frozen=True)
class Tls:
    """The edge's own end of TLS. Certificates come as they are asked for: the portal says for which names, and has the
    ones that people uploaded; the others are obtained by ACME, or made by a small authority of our own."""

    port: int
    public_port: int  # which visitors see
    kind: str  # "acme" or "internal"
    token: str  # tells the portal that it is the edge who asks
    directory: str = ""
    email: str = ""
    authorities: str = ""  # a PEM file of more authorities that the ACME server may have its certificate from


def caddyfile(
    layout: Layout,
    *,
    port: int,
    domain: str,
    scheme: str,
    pages: Path,
    policy: str,
    proxies: Sequence[str] = (),
    tls: Tls | None = None,
) -> str:
    """`scheme` is what visitors use: with https and without `tls`, TLS ends at a proxy in front, and only the edge
    knows to say so. `proxies` are address ranges that such proxies connect from."""
    parts = [_options(layout, port, tls), _sites(layout, domain, pages, policy, proxies)]
    if tls is None:
        parts.append(f":{port} {{\n\timport sites {scheme}\n}}\n")
    else:
        parts.append(f":{port} {{\n{_to_https(domain, tls)}\timport sites http\n}}\n")
        parts.append(f":{tls.port} {{\n{_certificates(port, tls)}\timport sites https\n}}\n")
    return "\n".join(parts)


def _options(layout: Layout, port: int, tls: Tls | None) -> str:
    return f"""\
# Written by ./slipway at each start.
{{
	admin off
	auto_https {"disable_redirects" if tls else "off"}
	grace_period 3s
	log {{
		level WARN
		# Strangers ask for names that there are none of, and Caddy calls each time an error that the portal says so.
		exclude tls.handshake
	}}
{_tls_options(layout, port, tls) if tls else ""}\
	servers {{
		protocols {"h1 h2" if tls else "h1"}
		max_header_size 65536
		timeouts {{
			read_header 15s
			idle 2m
		}}
	}}
}}
"""


def _tls_options(layout: Layout, port: int, tls: Tls) -> str:
    given = [("email", tls.email), ("acme_ca", tls.directory), ("acme_ca_root", tls.authorities)]
    return f"""\
	http_port {port}
	https_port {tls.port}
	skip_install_trust
	storage file_system {{
		root {layout.certificates}
	}}
	on_demand_tls {{
		ask http://127.0.0.1:{port}/-/edge/allowed?token={tls.token}
		interval 1m
		burst 20
	}}
""" + "".join(f"\t{name} {_quoted(value)}\n" for name, value in given if value and tls.kind == "acme")


def _certificates(port: int, tls: Tls) -> str:
    issuer = "\t\tissuer internal\n" if tls.kind == "internal" else ""
    return f"""\
	tls {{
		on_demand
		get_certificate http http://127.0.0.1:{port}/-/edge/certificate?token={tls.token}
{issuer}\
	}}
"""


def _to_https(domain: str, tls: Tls) -> str:
    """The portal is for https alone. What the edge itself asks it comes by http, from this machine."""
    suffix = "" if tls.public_port == 443 else f":{tls.public_port}"
    return f"""\
	@insecure {{
		host {domain}
		not path /-/edge/*
	}}
	redir @insecure https://{domain}{suffix}{{uri}} 308
"""


def _quoted(value: str) -> str:
    if re.search(r"[`\s]", value):
        raise Refused(f"{value!r} cannot be written into the edge's configuration")
    return f"`{value}`"


def _sites(layout: Layout, domain: str, pages: Path, policy: str, proxies: Sequence[str]) -> str:
    visitor = "\n\t\t\t".join(_visitor(proxies))
    hosts = " ".join(dict.fromkeys([domain, "localhost", "127.0.0.1", "::1"]))
    return f"""\
(sites) {{
	# Only Slipway itself may say these to an environment or to the portal.
	request_header -X-Slipway-*

	# Neither this server nor those behind it need to be told about.
	header {{
		-Server
		defer
	}}

	@portal host {hosts}
	handle @portal {{
{_portal(layout, visitor)}\
	}}

	# What may become part of a path: labels of letters, digits and hyphens before the base domain.
	@environment header_regexp Host {host_pattern(domain)}
	handle @environment {{
		import site {{args.0}}
	}}

	# Projects' own domains: of the same letters, and served only where a link of that name was made.
	@domain {{
		header_regexp Host {host_pattern()}
		file {{
			root {layout.edge}
			try_files /{{http.request.host}}
		}}
	}}
	handle @domain {{
		import site {{args.0}}
	}}

	handle {{
		error 404
	}}

{_errors(layout, hosts, pages, policy)}\
}}

{_site(visitor)}"""


def _portal(layout: Layout, visitor: str) -> str:
    return f"""\
		# No flush_interval here: events are flushed at once anyway, and -1 would hide from the portal who has left.
		reverse_proxy unix/{layout.web_socket} {{
			header_up X-Forwarded-Proto {{args.0}}
			{visitor}
			# A restart of the portal is a short wait, not an error.
			lb_try_duration 5s
			lb_try_interval 100ms
			transport http {{
				dial_timeout 2s
			}}
		}}
"""


def _errors(layout: Layout, hosts: str, pages: Path, policy: str) -> str:
    """What is said in the place of the portal or of an environment that does not answer, or that there is none of."""
    return f"""\
	handle_errors {{
		root * {pages}
		header {{
			Cache-Control no-store
			Content-Security-Policy "{policy}"
			X-Content-Type-Options nosniff
			Referrer-Policy no-referrer
		}}
		@starting host {hosts}
		handle @starting {{
			header Retry-After 5
			rewrite * /portal.html
			file_server {{
				status 503
			}}
		}}
		@published {{
			header_regexp Host {host_pattern()}
			file {{
				root {layout.edge}
				try_files /{{http.request.host}}
			}}
		}}
		handle @published {{
			header Retry-After 5
			rewrite * /unavailable.html
			file_server {{
				status 503
			}}
		}}
		handle {{
			rewrite * /unknown.html
			file_server {{
				status 404
			}}
		}}
	}}
"""


def _site(visitor: str) -> str:
    return f"""\
(site) {{
	# Relative to where the edge runs: a Unix socket's path has at most 107 bytes, and a host may need most of them.
	reverse_proxy unix/{{http.request.host}} {{
		flush_interval -1
		header_up X-Forwarded-Proto {{args.0}}
		{visitor}
		transport http {{
			# A kept connection would go on answering from the release before the switch.
			keepalive off
			dial_timeout 2s
		}}
	}}
}}
"""


def _visitor(proxies: Sequence[str]) -> list[str]:
    """The visitor's address is the only one that goes on. Of a request by a proxy it is the one that the proxy put
    last, before which a visitor may have written anything; behind it the edge has added the proxy itself."""
    if not proxies:
        return []
    return [
        f"trusted_proxies {' '.join(proxies)}",
        r"header_up X-Forwarded-For `^(?:.*,)?\s*([^,\s]+)\s*,[^,]*$` $1",
    ]
