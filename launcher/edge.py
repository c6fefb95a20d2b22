"""The edge's configuration. It never changes while an instance runs: a host is a symlink, switched by a rename."""

import base64
import hashlib
import ipaddress
import re
from collections.abc import Sequence
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


def host_pattern(domain: str) -> str:
    """The hosts that may name a symlink: labels of our own grammar before the base domain, and nothing else."""
    return rf"\A(?:[a-z0-9-]{{1,63}}\.){{1,12}}{re.escape(domain).replace('/', '')}(?::[0-9]{{1,5}})?\z"


def write_pages(source: Path, folder: Path) -> str:
    """Put the pages where the edge reads them; returns their Content-Security-Policy, made from their one style."""
    folder.mkdir(exist_ok=True)
    hashes = set()
    for page in sorted(source.glob("*.html")):
        text = page.read_text()
        (folder / page.name).write_text(text)
        for style in re.findall(r"<style>(.*?)</style>", text, re.DOTALL):
            hashes.add("'sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() + "'")
    return (
        f"default-src 'none'; style-src {' '.join(sorted(hashes))}; frame-ancestors 'none'; base-uri 'none'"
    )


def caddyfile(
    layout: Layout, *, port: int, domain: str, scheme: str, pages: Path, policy: str, proxies: Sequence[str] = ()
) -> str:
    """`scheme` is what visitors use: with https, TLS ends at a proxy in front, and only the edge knows to say so.
    `proxies` are address ranges that such proxies connect from."""
    visitor = "\n\t\t\t".join(_visitor(proxies))
    hosts = " ".join(dict.fromkeys([domain, "localhost", "127.0.0.1", "::1"]))
    return f"""\
# Written by ./slipway at each start.
{{
	admin off
	auto_https off
	grace_period 3s
	log {{
		level WARN
	}}
	servers {{
		protocols h1
		max_header_size 65536
		timeouts {{
			read_header 15s
			idle 2m
		}}
	}}
}}

:{port} {{
	# Only Slipway itself may say these to an environment or to the portal.
	request_header -X-Slipway-*

	# Neither this server nor those behind it need to be told about.
	header {{
		-Server
		defer
	}}

	@portal host {hosts}
	handle @portal {{
		reverse_proxy unix/{layout.web_socket} {{
			flush_interval -1
			header_up X-Forwarded-Proto {scheme}
			{visitor}
			# A restart of the portal is a short wait, not an error.
			lb_try_duration 5s
			lb_try_interval 100ms
			transport http {{
				dial_timeout 2s
			}}
		}}
	}}

	# What may become part of a path: labels of letters, digits and hyphens before the base domain.
	@environment header_regexp Host {host_pattern(domain)}
	handle @environment {{
		# Relative to where the edge runs: a Unix socket's path has at most 107 bytes, and a host may need most of them.
		reverse_proxy unix/{{http.request.host}} {{
			flush_interval -1
			header_up X-Forwarded-Proto {scheme}
			{visitor}
			transport http {{
				# A kept connection would go on answering from the release before the switch.
				keepalive off
				dial_timeout 2s
			}}
		}}
	}}

	handle {{
		error 404
	}}

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
			header_regexp Host {host_pattern(domain)}
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
