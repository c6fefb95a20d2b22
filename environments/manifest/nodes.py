"""YAML text -> PyYAML nodes, with limits that hold before anything is built.

The nodes are composed here from libyaml's events rather than by PyYAML: its composer recurses (a deep file ends the
process) and knows no limits.
"""

import re
from typing import Any, NoReturn, TypeGuard, TypeVar

import yaml
from yaml.resolver import Resolver

from .problems import ManifestError, Problem, shown

MAX_NODES = 100_000
MAX_DEPTH = 64
MAX_KEY = 1024

_CONTROL = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_IMPLICIT_MAX = 100  # no number, date or truth value is longer: longer plain text is text

_resolver: Any = Resolver()  # untyped in the stubs
_Node = TypeVar("_Node", bound=yaml.Node)


def compose(file: str, data: bytes) -> yaml.Node | None:
    """The root node, or None for a file without content. Raises ManifestError with the line."""
    text = _decode(file, data)
    try:
        return _Composer(file).compose(text)
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(file, text, error) from None
    except yaml.YAMLError as error:
        raise fail(file, None, f"This is not YAML: {shown(error)}.") from None


def fail(file: str, line: int | None, message: str, allowed: str = "", key: str = "") -> ManifestError:
    return ManifestError([Problem(file, line, key, message, allowed)])


def line_of(node: yaml.Node | yaml.Event) -> int | None:
    mark = node.start_mark
    return mark.line + 1 if mark is not None else None


def _decode(file: str, data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fail(file, line, "The file is not UTF-8 text. Save it as UTF-8.") from None
    if found := _CONTROL.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise fail(file, line, f"There is a control character ({shown(found[0])}) here, which YAML does not allow.")
    return text


def _syntax_error(file: str, text: str, error: yaml.MarkedYAMLError) -> ManifestError:
    mark = error.problem_mark or error.context_mark
    index = mark.line if mark else 0
    lines = text.splitlines()
    line = min(index + 1, max(len(lines), 1))
    if index < len(lines) and lines[index][: len(lines[index]) - len(lines[index].lstrip())].count("\t"):
        return fail(file, line, "There is a tab in the indentation. YAML allows spaces only: replace the tab.")
    reason = " ".join(part for part in (error.context, error.problem) if part)
    return fail(file, line, f"This is not valid YAML: {shown(reason, 200)}.")


def _is_start(event: yaml.Event) -> TypeGuard[yaml.MappingStartEvent | yaml.SequenceStartEvent]:
    return isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent)


class _Composer:
    def __init__(self, file: str) -> None:
        self._file = file
        self._root: yaml.Node | None = None
        self._anchors: dict[str, yaml.Node] = {}
        # Collections not yet closed, each with the mapping key that waits for its value.
        self._open: list[tuple[yaml.CollectionNode, list[yaml.Node]]] = []
        self._count = 0

    def compose(self, text: str) -> yaml.Node | None:
        documents = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._fail(event, 'A second document begins here ("---"). A configuration file holds exactly one.')
            elif isinstance(event, yaml.AliasEvent):
                self._place(self._alias(event))
            elif isinstance(event, yaml.ScalarEvent):
                self._place(self._register(event, self._scalar(event)))
            elif _is_start(event):
                node = self._register(event, self._collection(event))
                self._place(node)
                self._open.append((node, []))
                if len(self._open) > MAX_DEPTH:
                    self._fail(event, f"The file is nested too deeply. Allowed: {MAX_DEPTH} levels.")
            elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                self._open.pop()
        return self._root

    def _fail(self, event: yaml.Event, message: str) -> NoReturn:
        raise fail(self._file, line_of(event), message)

    def _register(self, event: yaml.NodeEvent, node: _Node) -> _Node:
        self._count += 1
        if self._count > MAX_NODES:
            self._fail(event, f"The file has too many values. Allowed: {MAX_NODES}.")
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: yaml.AliasEvent) -> yaml.Node:
        node = self._anchors.get(event.anchor or "")
        if node is None:
            self._fail(event, f"The alias *{shown(event.anchor)} refers to no anchor above it.")
        if any(node is parent for parent, _ in self._open):
            self._fail(event, f"The alias *{shown(event.anchor)} refers to a value that contains it.")
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> yaml.ScalarNode:
        tag = event.tag
        if tag is None or tag == "!":
            plain = len(event.value) <= _IMPLICIT_MAX and event.implicit[0]
            tag = _resolver.resolve(yaml.ScalarNode, event.value, (plain, True))
        start: Any = event.start_mark  # libyaml's marks are not of PyYAML's class
        return yaml.ScalarNode(tag, event.value, start, start, event.style)

    def _collection(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent) -> yaml.CollectionNode:
        kind: type[yaml.MappingNode | yaml.SequenceNode] = yaml.SequenceNode
        if isinstance(event, yaml.MappingStartEvent):
            kind = yaml.MappingNode
        tag = event.tag
        if tag is None or tag == "!":
            tag = _resolver.resolve(kind, None, event.implicit)
        start: Any = event.start_mark
        return kind(tag, [], start, start)

    def _place(self, node: yaml.Node) -> None:
        if not self._open:
            self._root = node
            return
        parent, waiting = self._open[-1]
        if isinstance(parent, yaml.SequenceNode):
            parent.value.append(node)
        elif waiting:
            parent.value.append((waiting.pop(), node))
        else:
            waiting.append(node)
