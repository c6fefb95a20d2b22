"""Nodes -> plain values that remember where they stand, with tags, merges and includes resolved.

A value is text, a number, true, false, null, a `Map` or a `Seq`. Nothing else can come out of a file.
"""

import base64
import math
import posixpath
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from .nodes import MAX_DEPTH, MAX_KEY, MAX_NODES, compose, fail, line_of
from .problems import ManifestError, Place, did_you_mean, quoted, shown
from .source import MAX_FILE_BYTES, MAX_FILES, Source, too_large

MAX_TEXT = 4 * MAX_FILE_BYTES  # of all values together, aliases and includes counted each time they are used
MAX_BYTES = 4 * MAX_FILE_BYTES  # of all files together
_MAX_INCLUDES = 8
_MAX_NUMBER = 64

_TAG = "tag:yaml.org,2002:"
_STR, _MAP, _SEQ, _MERGE = _TAG + "str", _TAG + "map", _TAG + "seq", _TAG + "merge"
_NOT_TEXT = {
    _TAG + "bool": "true or false",
    _TAG + "int": "a number",
    _TAG + "float": "a number",
    _TAG + "null": "an empty value",
    _TAG + "timestamp": "a date",
}
_TRUE = ("yes", "true", "on")
_FALSE = ("no", "false", "off")


class Map(dict[str, Any]):
    """A mapping; `places` says where each key stands."""

    place: Place
    places: dict[str, Place]


class Seq(list[Any]):
    """A list; `places` says where each entry stands."""

    place: Place
    places: list[Place]


class Number(float):
    """A number that remembers how it was written: the version 1.10 is not 1.1."""

    text: str

    def __new__(cls, value: float, text: str) -> "Number":
        number = super().__new__(cls, value)
        number.text = text
        return number


class Located(NamedTuple):
    place: Place
    value: Any
    parent: Any  # the innermost Map or Seq on the way that exists


def locate(root: Any, path: Sequence[str | int]) -> Located:
    """Where `path` stands below `root`, or the nearest thing on the way to it."""
    place, value, parent = root.place, root, root
    for step in path:
        known = isinstance(value, Map) and step in value
        if known or (isinstance(value, Seq) and isinstance(step, int) and step < len(value)):
            parent, place, value = value, value.places[step], value[step]
        elif isinstance(value, Map | Seq):
            return Located(place, None, value)
        else:
            break
    return Located(place, value, parent)


def plain(value: Any) -> Any:
    """The value without its places, as JSON knows it."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, Number):
        return float(value)
    return value


class _File(NamedTuple):
    """The file being read, the folders its includes are looked up in, and the files that include it."""

    path: str
    bases: tuple[str, ...]
    within: tuple[str, ...] = ()


class Reader:
    """Reads the files of one repository under common limits."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._files: dict[str, bytes | None] = {}
        self._composed: dict[str, yaml.Node | None] = {}
        self._folders: dict[str, bool] = {}
        self._bytes_read = 0
        self._nodes = 0
        self._text = 0

    def read(self, path: str) -> Any:
        """The content of a YAML file: a Map, a Seq, or None when there is nothing in it. Raises ManifestError."""
        data = self._bytes(path)
        if data is None:
            raise fail(path, None, "The file does not exist.")
        node = self._node(path, data)
        if node is None:
            return None
        return self._value(node, _File(path, (posixpath.dirname(path),)), 0)

    def _bytes(self, path: str) -> bytes | None:
        if path not in self._files:
            if len(self._files) >= MAX_FILES:
                raise fail(path, None, f"There are too many configuration files. Allowed: {MAX_FILES}.")
            data = self._source.read(path)
            if data is not None and len(data) > MAX_FILE_BYTES:
                raise too_large(path, len(data))
            self._bytes_read += len(data or b"")
            if self._bytes_read > MAX_BYTES:
                message = f"The configuration files have more than {MAX_BYTES // MAX_FILE_BYTES} MiB together."
                raise fail(path, None, message)
            self._files[path] = data
        return self._files[path]

    def _node(self, path: str, data: bytes) -> yaml.Node | None:
        if path not in self._composed:
            self._composed[path] = compose(path, data)
        return self._composed[path]

    def _has_folder(self, path: str) -> bool:
        if path not in self._folders:
            self._folders[path] = any(file.startswith(path + "/") for file in self._source.files())
        return self._folders[path]

    def _count(self, node: yaml.Node, file: _File, depth: int, text: int = 0) -> None:
        self._nodes += 1
        self._text += text
        if self._nodes > MAX_NODES or self._text > MAX_TEXT:
            raise fail(file.path, line_of(node), "The aliases and values of the configuration add up to too much.")
        if depth > MAX_DEPTH:
            raise fail(file.path, line_of(node), f"The file is nested too deeply. Allowed: {MAX_DEPTH} levels.")

    def _value(self, node: yaml.Node, file: _File, depth: int) -> Any:
        self._count(node, file, depth, len(node.value) if isinstance(node, yaml.ScalarNode) else 0)
        if node.tag == "!include":
            return self._include(node, file, depth)
        if node.tag == "!archive":
            return self._archive(node, file)
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node, file.path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _SEQ:
            seq = Seq(self._value(entry, file, depth + 1) for entry in node.value)
            seq.place = Place(file.path, line_of(node))
            seq.places = [Place(file.path, line_of(entry)) for entry in node.value]
            return seq
        if isinstance(node, yaml.MappingNode) and node.tag == _MAP:
            return self._map(node, file, depth)
        raise _unknown_tag(node, file.path)

    def _map(self, node: yaml.MappingNode, file: _File, depth: int) -> Map:
        result = Map()
        result.place = Place(file.path, line_of(node))
        result.places = {}
        file = _with_source_root(node, file)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(result, value_node, file, depth)
        seen: dict[str, int | None] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = _key(key_node, file.path)
            if key in seen:
                message = f"The key {quoted(key)} is given twice, first on line {seen[key]}. Keep one of them."
                raise fail(file.path, line_of(key_node), message, key=shown(key))
            seen[key] = line_of(key_node)
            self._text += len(key)
            result[key] = self._value(value_node, file, depth + 1)
            result.places[key] = Place(file.path, seen[key])
        return result

    def _merge(self, into: Map, node: yaml.Node, file: _File, depth: int) -> None:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                message = 'The merge key "<<" takes a mapping, mostly an alias such as *defaults, or a list of those.'
                raise fail(file.path, line_of(node), message)
            merged = self._value(source, file, depth + 1)
            for key, value in merged.items():
                if key not in into:  # the first one named wins
                    into[key] = value
                    into.places[key] = merged.places[key]

    # -- tags -------------------------------------------------------------------------------------------------------

    def _include(self, node: yaml.Node, file: _File, depth: int) -> Any:
        kind, path = self._include_arguments(node, file, depth)
        found, data = self._find(node, path, file)
        if kind == "yaml":
            if len(file.within) >= _MAX_INCLUDES or found == file.path or found in file.within:
                raise fail(file.path, line_of(node), f"The file {quoted(found)} ends up including itself.")
            root = self._node(found, data)
            if root is None:
                return None
            bases = (posixpath.dirname(found), *file.bases)
            return self._value(root, _File(found, bases, (*file.within, file.path)), depth + 1)
        self._count(node, file, depth, len(data))
        if kind == "binary":
            return base64.b64encode(data).decode()
        try:
            return data.decode()
        except UnicodeDecodeError:
            message = f"The file {quoted(found)} is not UTF-8 text. Include it with type: binary."
            raise fail(file.path, line_of(node), message) from None

    def _include_arguments(self, node: yaml.Node, file: _File, depth: int) -> tuple[str, str]:
        if isinstance(node, yaml.ScalarNode):
            return "yaml", node.value
        arguments: dict[str, Any] = self._map(node, file, depth) if isinstance(node, yaml.MappingNode) else {}
        kind, path = arguments.get("type", "yaml"), arguments.get("path")
        if not isinstance(path, str) or kind not in ("yaml", "string", "binary") or arguments.keys() - {"type", "path"}:
            message = "This !include is not understood."
            allowed = "!include path, or !include {type: yaml | string | binary, path: path}"
            raise fail(file.path, line_of(node), message, allowed)
        return kind, path

    def _find(self, node: yaml.Node, path: str, file: _File) -> tuple[str, bytes]:
        for base in dict.fromkeys(file.bases):
            found = _beneath(base, path)
            if found is None:
                message = f"{quoted(path)} leads out of the repository."
                raise fail(file.path, line_of(node), message, "a relative path to a file in the repository")
            data = self._bytes(found)
            if data is not None:
                return found, data
        looked = " or ".join(quoted(base or "/") for base in dict.fromkeys(file.bases))
        raise fail(file.path, line_of(node), f"There is no file {quoted(path)} to include in {looked}.")

    def _archive(self, node: yaml.Node, file: _File) -> Map:
        """A folder as opaque configuration, left where it is: {"archive": its path in the repository}."""
        path = node.value if isinstance(node, yaml.ScalarNode) else ""
        for base in dict.fromkeys(file.bases):
            found = _beneath(base, path) if path else None
            if found and self._has_folder(found):
                archive = Map(archive=found)
                archive.place = Place(file.path, line_of(node))
                archive.places = {"archive": archive.place}
                return archive
        message = f"There is no folder {quoted(path)} in the repository to archive."
        raise fail(file.path, line_of(node), message, '!archive "folder", relative to this file')


def _beneath(base: str, path: str) -> str | None:
    """The path from the root of the repository, or None when it would leave it."""
    found = posixpath.normpath(posixpath.join(base, path))
    if not path or "\0" in path or found.startswith(("/", "../")) or found in ("..", "."):
        return None
    return None if ".git" in found.split("/") else found


def _with_source_root(node: yaml.MappingNode, file: _File) -> _File:
    """Includes of an app are also looked up in its `source.root`, which stands somewhere in the same mapping."""
    for key, value in node.value:
        if key.value == "source" and isinstance(value, yaml.MappingNode):
            for inner, root in value.value:
                if inner.value == "root" and isinstance(root, yaml.ScalarNode):
                    return file._replace(bases=(*file.bases, root.value.strip("/")))
    return file


def _key(node: yaml.Node, file: str) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise fail(file, line_of(node), "A key must be text, not a list or a mapping.")
    if len(node.value) > MAX_KEY:
        raise fail(file, line_of(node), f"The key {quoted(node.value)} is too long. Allowed: {MAX_KEY} characters.")
    if node.tag in _NOT_TEXT:
        name = shown(node.value)
        message = f"The key {name} is read by YAML as {_NOT_TEXT[node.tag]}, not as text. Put it in quotes."
        raise fail(file, line_of(node), message, f'"{name}"')
    if node.tag != _STR and node.tag != _TAG + "value":
        raise _unknown_tag(node, file)
    return str(node.value)


def _unknown_tag(node: yaml.Node, file: str) -> ManifestError:
    name = node.tag.removeprefix(_TAG)
    name = f"!!{name}" if name != node.tag else node.tag
    hint = did_you_mean(name, ["!include", "!archive"])
    message = f"The tag {shown(name)} is not allowed here.{hint}"
    return fail(file, line_of(node), message, "plain values, !include and !archive")


def _scalar(node: yaml.ScalarNode, file: str) -> Any:
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    try:
        if kind == "bool":
            return _boolean(text)
        if kind == "int":
            return _integer(text)
        if kind == "float":
            return _float(text)
    except ValueError as error:
        raise fail(file, line_of(node), f"{shown(text)} is not a number that can be used: {error}.") from None
    if kind == "null":
        return None
    if kind in ("str", "timestamp", "value", "merge") and node.tag.startswith(_TAG):
        return text  # dates stay as they are written
    raise _unknown_tag(node, file)


def _boolean(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError("it is neither true nor false")


def _integer(text: str) -> int | str:
    if ":" in text:
        return text  # 12:30 is a time, not the number 750 that YAML 1.1 makes of it
    digits = text.replace("_", "")
    if len(digits) > _MAX_NUMBER:
        raise ValueError("it has too many digits")
    if re.fullmatch(r"[-+]?0[0-7]+", digits):
        return int(digits, 8)
    return int(digits, 0)


def _float(text: str) -> float | str:
    if ":" in text:
        return text
    value = float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise ValueError("it is not finite")
    return Number(value, text)
