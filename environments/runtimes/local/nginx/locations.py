"""`web.locations` of an app as nginx locations.

A request is answered by the file below the location's root if there is one and it may be served, else by what the
location passes it on to. A location's prefix is not part of the file's path (`/static: {root: assets}` serves
`/static/a.css` from `assets/a.css`), so each prefix gets a folder of links that stands for it in nginx's sandbox.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from environments.manifest import App, Location, Rule
from environments.runtimes.local.nginx.quoting import DOLLAR, captures, literal, quote, template

# Never sent as files, whatever the root is: they are for the machines, and may hold secrets.
_PRIVATE = r"/\.(?:env|environment|git|platform|magento|slipway)[^/]*(?:/|$)"
_ANY = 'location ~ "^"'
_SCRIPT = r"\.php(?:/|$)"


@dataclass(frozen=True)
class Site:
    """An app as nginx sees it. `files` is where its slug is in nginx's sandbox, `upstream` the name of its upstream."""

    app: App
    number: int
    files: str
    upstream: str

    @property
    def fastcgi(self) -> bool:
        return self.app.upstream.protocol == "fastcgi"

    @property
    def scripts(self) -> bool:
        """Whether a file that ends in .php is a program here."""
        return self.app.language == "php"

    def folder(self, prefix: str, root: str) -> str:
        """The folder that stands for this location: with the URL's path behind it, it names the file."""
        return _join(self.files, root) if prefix == "/" else f"/locations/{self.number}-{self.index(prefix)}"

    def index(self, prefix: str) -> int:
        return list(self.app.locations).index(prefix)

    def links(self) -> Iterator[tuple[str, str]]:
        """(target, link) for each location that needs a folder of links."""
        for prefix, location in self.app.locations.items():
            if prefix != "/" and location.root is not None:
                yield _join(self.files, location.root), self.folder(prefix, location.root) + prefix.rstrip("/")


@dataclass
class Written:
    """The locations of one server, and the named ones they send requests to, each once."""

    lines: list[str] = field(default_factory=list)
    named: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Effect:
    """What holds for a request: the location's settings, or its rule's where that says something."""

    root: str | None
    passthru: bool | str
    expires: int
    scripts: bool
    allow: bool
    headers: Mapping[str, str]

    @classmethod
    def of(cls, location: Location, rule: Rule | None = None) -> "_Effect":
        def either(name: str) -> object:
            own = getattr(rule, name) if rule is not None else None
            return getattr(location, name) if own is None else own

        names = ("passthru", "expires", "scripts", "allow", "headers")
        return cls(root=location.root, **{name: either(name) for name in names})  # type: ignore[arg-type]


class Writer:
    def __init__(self, site: Site, kept: Sequence[str]) -> None:
        """`kept`: the headers of every answer; where a location adds its own, it says them again."""
        self._site = site
        self._kept = kept
        self.written = Written()

    def write(self, url: str, prefix: str) -> None:
        """Answer requests below `url` by the location `prefix` of the app, which `url` is or lies below."""
        location = self._site.app.locations[prefix]
        if url != "/":
            # The prefix itself, without a slash behind it.
            self.written.lines += _block(f"location = {literal(url)}", self._bare(url, location, prefix))
        self.written.lines += _block(f"location {literal(_slash(url))}", self._body(location, prefix))

    def _bare(self, url: str, location: Location, prefix: str) -> list[str]:
        effect = _Effect.of(location)
        if effect.passthru:
            return [*self._request(location), self._no_file(effect, prefix)]
        if effect.root is not None:
            return [f"rewrite ^ {literal(url + '/')} permanent;"]
        return ["return 404;"]

    def _body(self, location: Location, prefix: str) -> list[str]:
        effect = _Effect.of(location)
        lines = self._request(location)
        for pattern, rule in location.rules.items():
            lines += _block(f"location ~ {quote(pattern)}", self._rule(location, prefix, pattern, rule))
        lines += self._exceptions(effect, prefix)
        # Inside the last, or the headers of files would be inherited by what answers scripts and rules.
        return lines + _block(_ANY, [*self._indexes(location), *self._answer(effect, prefix)])

    def _rule(self, location: Location, prefix: str, pattern: str, rule: Rule) -> list[str]:
        effect = _Effect.of(location, rule)
        target = effect.passthru
        if not (isinstance(target, str) and "$" in target):
            return [*self._exceptions(effect, prefix), *_block(_ANY, self._answer(effect, prefix))]
        # A path made of what the pattern matched: the request is looked up again under it, unless it names a file.
        rewrite = [f"rewrite {quote(pattern)} {template(target, captures(pattern))} last;"]
        if effect.root is not None and effect.allow:
            rewrite = _block("if (!-f $request_filename)", rewrite)
        effect = replace(effect, passthru=False)
        return [*self._exceptions(effect, prefix), *_block(_ANY, [*rewrite, *self._answer(effect, prefix)])]

    def _exceptions(self, effect: _Effect, prefix: str) -> list[str]:
        """What is below the root and yet is not sent as a file: scripts are run, secrets are kept."""
        if effect.root is None:
            return []
        lines = _block(f"location ~ {quote(_PRIVATE)}", [self._no_file(effect, prefix)])
        if self._site.scripts and self._site.fastcgi and effect.scripts:
            start = re.escape("" if prefix == "/" else prefix)
            pattern = rf"^{start}(?<slipway_script>/.+?\.php)(?<slipway_info>/.*)?$"
            lines += _block(f"location ~ {quote(pattern)}", self._run_script(effect, prefix))
        elif self._site.scripts:
            lines += _block(
                f"location ~ {quote(_SCRIPT)}", [self._no_file(effect, prefix) if effect.passthru else "return 403;"]
            )
        return lines

    def _run_script(self, effect: _Effect, prefix: str) -> list[str]:
        assert effect.root is not None
        return [
            f"root {literal(_join(self._site.files, effect.root))};",
            f"try_files $slipway_script {self._pass(effect, prefix)};",
            *self._fastcgi(
                folder=_join("/app", effect.root),
                script="$slipway_script",
                name=("" if prefix == "/" else prefix) + "$slipway_script",
                info="$slipway_info",
            ),
        ]

    def _indexes(self, location: Location) -> list[str]:
        """A folder is answered by the first of its index files. Asked for without a slash, it is asked for again with
        one, or relative links in it would point beside it."""
        lines: list[str] = []
        for name in location.index if location.root is not None else ():
            plain = _no_variables(name.strip("/"))
            rewrites = [
                'rewrite "^(.*[^/])$" "$1/" permanent;',
                f'rewrite "^(.*)/$" {quote("$1/" + plain)} last;',
            ]
            lines += _block(f"if (-f {quote('${request_filename}/' + plain)})", rewrites)
        return lines

    def _root(self, effect: _Effect, prefix: str) -> str:
        assert effect.root is not None
        return f"root {literal(self._site.folder(prefix, effect.root))};"

    def _no_file(self, effect: _Effect, prefix: str) -> str:
        return f"try_files /dev/null/no {self._pass(effect, prefix)};"

    def _answer(self, effect: _Effect, prefix: str) -> list[str]:
        if effect.root is None:
            return [self._no_file(effect, prefix)]
        if not effect.allow:
            forbid = _block("if (-f $request_filename)", ["return 403;"])
            return [self._root(effect, prefix), *forbid, self._no_file(effect, prefix)]
        files = f"try_files $uri {self._pass(effect, prefix)};"
        return [self._root(effect, prefix), *self._file_headers(effect), files]

    def _file_headers(self, effect: _Effect) -> list[str]:
        lines = [f"expires {'-1' if effect.expires < 0 else f'{effect.expires}s'};"]
        lines += [f"add_header {literal(name)} {literal(value)};" for name, value in effect.headers.items()]
        if effect.headers:
            lines += self._kept  # one's own headers replace inherited ones
        return lines

    def _request(self, location: Location) -> list[str]:
        buffering = location.request_buffering
        switch = "on" if buffering.enabled else "off"
        return [
            f"client_max_body_size {buffering.max_request_size};",
            f"proxy_request_buffering {switch};",
            f"fastcgi_request_buffering {switch};",
        ]

    def _pass(self, effect: _Effect, prefix: str) -> str:
        """The last word of try_files: the named location that answers what is not a file, or =404."""
        target = effect.passthru
        location = self._site.app.locations[prefix]
        if target is True and self._site.fastcgi and self._site.scripts:
            target = "/index.php"
        if target is False:
            return "=404"
        key = f"@app{self._site.number}-{self._site.index(prefix)}"
        if target is True:
            return self._name(key, [*self._request(location), *self._to_app()])
        assert isinstance(target, str)
        return self._name(f"{key}-{_short(target)}", [*self._request(location), *self._to_target(target)])

    def _name(self, name: str, lines: list[str]) -> str:
        self.written.named[name] = lines
        return name

    def _to_target(self, target: str) -> list[str]:
        path, question, query = target.partition("?")
        prefix = longest(path, self._site.app.locations)
        location = self._site.app.locations[prefix] if prefix else None
        if location is None or location.root is None or "$" in target:
            return self._to_app(literal(target.replace("$", ""))) if not self._site.fastcgi else ["return 404;"]
        rest = path if prefix == "/" else path[len(prefix or "") :]
        if self._site.scripts and re.search(_SCRIPT, rest):
            if not self._site.fastcgi:
                return self._to_app(literal(path))
            script, info = re.fullmatch(r"(.+?\.php)(/.*)?", rest, re.DOTALL).groups()  # type: ignore[union-attr]
            arguments = f'"{quote(query)[1:-1]}&$args"' if question else "$args"
            return self._fastcgi(
                folder=_join("/app", location.root),
                script=_no_variables(script),
                name=_no_variables(path[: len(path) - len(info or "")]),
                info=_no_variables(info or ""),
                arguments=arguments,
            )
        otherwise = "=404"
        if not self._site.fastcgi:
            otherwise = self._name(f"@app{self._site.number}", self._to_app())
        return [
            f"root {literal(_join(self._site.files, location.root))};",
            *self._file_headers(_Effect.of(location)),
            f"try_files {literal(rest)} {otherwise};",
        ]

    def _to_app(self, path: str | None = None) -> list[str]:
        """To the app as it was asked, or with another path."""
        rewrite = [f"rewrite ^ {path} break;"] if path else []
        if self._site.fastcgi:
            return [*rewrite, *self._fastcgi(folder="/app", script="$uri", name="$uri", info="")]
        return [*rewrite, f"proxy_pass http://{self._site.upstream};"]

    def _fastcgi(self, *, folder: str, script: str, name: str, info: str, arguments: str = "$args") -> list[str]:
        """`script`, `name` and `info` may hold variables of ours."""
        root = _no_variables(folder)
        return [
            "include /nginx/fastcgi.conf;",
            f"fastcgi_param SCRIPT_FILENAME {quote(root + script)};",
            f"fastcgi_param SCRIPT_NAME {quote(name)};",
            f"fastcgi_param DOCUMENT_ROOT {quote(root)};",
            f"fastcgi_param PATH_INFO {quote(info)};",
            f"fastcgi_param QUERY_STRING {arguments};",
            f"fastcgi_pass {self._site.upstream};",
        ]


def _block(head: str, lines: list[str]) -> list[str]:
    return [f"{head} {{", *(f"    {line}" for line in lines), "}"]


def longest(path: str, prefixes: Mapping[str, object]) -> str | None:
    """The longest prefix that the path is or lies below."""
    found = [prefix for prefix in prefixes if path == prefix or path.startswith(_slash(prefix))]
    return max(found, key=len, default=None)


def _slash(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def _join(folder: str, below: str) -> str:
    return f"{folder}/{below}" if below else folder


def _no_variables(text: str) -> str:
    return text.replace("$", DOLLAR)


def _short(target: str) -> str:
    return hashlib.sha256(target.encode()).hexdigest()[:8]
