"""routes.yaml: which URLs reach what. Where they are on a given environment is worked out in `environments.routing`."""

import json
import re
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationInfo, model_validator

from .base import Model
from .values import HeaderName, Line, Lines, Script, Seconds, Truth, describe, one_of, pattern, whole, wrong

_URL = re.compile(r"(https?)://([^/?#\s]+)(/[^?#\s]*)?")
_LABEL = r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)"
_HOST = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*(?:{_LABEL}|\{{default\}}|\{{all\}})\Z")
_PATH = re.compile(r"/[A-Za-z0-9._~@%+,:=/-]*\Z")
_TARGET = re.compile(r"(https?:/)?/[^\s\x00-\x1f\x7f\"'`<>\\]*\Z")
_NEVER_CACHED_BY = ("accept-encoding", "connection", "cookie", "host", "upgrade", "x-forwarded-proto")
_REDIRECT_VARIABLE = re.compile(r"\$(?:\d|args|is_args|uri|arg_\w+)")
_YEAR = 365 * 86400


def normal_url(value: str) -> str:
    """The key of a route as `scheme://host/path/`, the host in lower case. Raises ValueError with the reason."""
    match = _URL.fullmatch(value)
    if match is None:
        raise ValueError("it is not a URL that begins with http:// or https://")
    scheme, host, path = match[1], match[2].lower(), match[3] or "/"
    if len(host) > 253 or not _HOST.match(host):
        raise ValueError(f"the host {describe(host)} is not one that can be served")
    if not _PATH.match(path) or "//" in path or {"..", "."} & set(path.split("/")):
        raise ValueError(f"the path {describe(path)} is not one that can be served")
    return f"{scheme}://{host}{path if path.endswith('/') else path + '/'}"


def _target(value: Any) -> str:
    if not isinstance(value, str) or not _TARGET.match(value) or len(value) > 2000:
        raise wrong(f"{describe(value)} cannot be redirected to.", 'a URL with http:// or https://, or a path with "/"')
    return value


def _redirect_target(value: Any) -> str:
    if isinstance(value, str) and value.startswith("$") and not re.search(r"[\s\x00-\x1f\x7f\"'`<>\\]", value):
        return value  # all of it may come from the pattern
    return _target(value)


def _strings(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: json.dumps(entry) if isinstance(entry, bool) else entry for key, entry in value.items()}


class RouteCache(Model):
    enabled: Truth = True
    default_ttl: Annotated[int, whole(0, _YEAR, " (seconds)")] = 0
    cookies: Lines = ("*",)
    headers: tuple[HeaderName, ...] = ("Accept", "Accept-Language")

    @model_validator(mode="after")
    def _allowed_headers(self) -> Self:
        for name in self.headers:
            if name.lower() in _NEVER_CACHED_BY:
                raise wrong(f"The header {describe(name)} cannot be part of the cache key.", "", ("headers",))
        return self


class Ssi(Model):
    enabled: Truth = False


class PartialRedirect(Model):
    to: Annotated[str, BeforeValidator(_redirect_target)]
    regexp: Truth = False
    prefix: Truth = True
    append_suffix: Truth = True
    code: Annotated[int, whole(301, 308)] = 302
    expires: Seconds | None = None

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.code not in (301, 302, 307, 308):
            raise wrong(f"{self.code} is not the code of a redirect.", "301, 302, 307, 308")
        rest = _REDIRECT_VARIABLE.sub("", self.to) if self.regexp else self.to
        if "$" in rest:
            allowed = "with regexp: true, $1, $args, $is_args, $arg_x and $uri"
            raise wrong(f'The "$" in {describe(self.to)} cannot be used.', allowed)
        return self


class Redirects(Model):
    """`paths` are prefixes, or patterns where `regexp` is set; the first match counts."""

    max_entries: ClassVar[int] = 50_000

    expires: Seconds = -1
    paths: dict[Line, PartialRedirect] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _valid_patterns(self, info: ValidationInfo) -> Self:
        for path, redirect in self.paths.items():
            if redirect.regexp:
                pattern(path, info)
            elif not path.startswith("/"):
                allowed = 'a path with a leading "/", or a pattern with regexp: true'
                raise wrong(f"{describe(path)} is not a path.", allowed, ("paths", path))
        return self


class StrictTransport(Model):
    enabled: Truth | None = None
    include_subdomains: Truth | None = None
    preload: Truth | None = None


class Tls(Model):
    strict_transport_security: StrictTransport | None = None
    min_version: Annotated[str, one_of("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")] | None = None
    client_authentication: Annotated[str, one_of("request", "require")] | None = None
    client_certificate_authorities: tuple[Script, ...] = ()


class Sticky(Model):
    enabled: Truth = False


class Route(Model):
    """`url` is the normal form of its key in the file; `upstream` is `app:endpoint`, with `http` when left out."""

    url: str = ""
    type: Annotated[str, one_of("upstream", "redirect", "proxy")]
    upstream: Line | None = None
    to: Annotated[str, BeforeValidator(_target)] | None = None
    primary: Truth | None = None
    id: Line | None = None
    attributes: Annotated[dict[Line, Line], BeforeValidator(_strings)] = Field(default_factory=dict)
    cache: RouteCache = RouteCache()
    ssi: Ssi = Ssi()
    redirects: Redirects = Redirects()
    tls: Tls = Tls()
    sticky: Sticky = Sticky()

    @model_validator(mode="before")
    @classmethod
    def _old_forms(cls, data: Any, info: ValidationInfo) -> Any:
        """`sticky: true` and an upstream without its endpoint."""
        if not isinstance(data, dict):
            return data
        cls.remember(data, info)
        changed = dict(data)
        upstream = data.get("upstream")
        if isinstance(upstream, str) and upstream and ":" not in upstream:
            changed["upstream"] = f"{upstream}:http"
        if isinstance(data.get("sticky"), bool):
            changed["sticky"] = {"enabled": data["sticky"]}
        return changed

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.type == "upstream" and not self.upstream:
            raise wrong('A route of type upstream needs "upstream".', 'upstream: "app:http"')
        if self.type in ("redirect", "proxy") and not self.to:
            raise wrong(f'A route of type {self.type} needs "to".', 'to: "https://{default}/"')
        if self.to and "$" in self.to:
            raise wrong('"to" of a route must not contain "$".')
        if self.type == "proxy" and self.to and not self.to.startswith("http"):
            raise wrong("A proxy needs a whole URL to pass requests to.", 'to: "https://example.com/"')
        return self

    @property
    def upstream_name(self) -> str | None:
        return self.upstream.partition(":")[0] if self.upstream else None

    @property
    def upstream_endpoint(self) -> str | None:
        return self.upstream.partition(":")[2] if self.upstream else None
