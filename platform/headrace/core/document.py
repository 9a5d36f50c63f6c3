"""YAML that people write, read strictly: small, flat, plain, each key once; whatever is wrong is one error with file and line."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from headrace.core.errors import DeclarationError

LARGEST, DEEPEST = 1024**2, 32
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where there is one: ten times as fast."""
_OURS = re.compile(rb"\s*[\"']?type[\"']?\s*:\s*[\"']?headrace\.")
_PLAIN = "tag:yaml.org,2002:"
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def read_document(file: Path) -> Any:
    """Return what a YAML file holds.

    Raises DeclarationError for a file above 1 MiB, more than one document, aliases and anchors, tags, a key that comes
    twice, nesting deeper than 32, and whatever is no YAML in UTF-8.
    """
    with file.open("rb") as opened:
        data = opened.read(LARGEST + 1)
    return parse_document(data, str(file))


def is_declaration(file: Path) -> bool:
    """Return whether a YAML file says that it declares something of Headrace: other files are not ours to judge."""
    with file.open("rb") as opened:
        return any(_OURS.match(line) for line in opened)


def parse_document(data: bytes, origin: str) -> Any:
    """Return what the bytes of a YAML file hold; `origin` is the file that errors name."""
    if len(data) > LARGEST:
        raise DeclarationError(f"{origin}:1: larger than 1 MiB: a declaration is never that long.")
    text = _decoded(data, origin)
    try:
        for event in _events(text):
            _refuse_event(event, origin)
        node = yaml.compose(text, LOADER)
    except yaml.YAMLError as error:
        raise DeclarationError(f"{origin}:{_line(error)}: this is not YAML: {_words(error)}") from None
    return _value(node, origin) if node is not None else None


def _decoded(data: bytes, origin: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DeclarationError(f"{origin}:{line}: this is not UTF-8. Save the file in UTF-8.") from None


def _events(text: str) -> Iterator[tuple[yaml.Event, int]]:
    depth = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        yield event, depth


def _refuse_event(found: tuple[yaml.Event, int], origin: str) -> None:
    """Refuse what could swell or run before anything is built of it."""
    event, depth = found
    here = f"{origin}:{event.start_mark.line + 1 if event.start_mark else 1}"
    tag = getattr(event, "tag", None)
    if depth > DEEPEST:
        raise DeclarationError(
            f"{here}: nested deeper than {DEEPEST}. No declaration needs that: is a bracket missing?"
        )
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise DeclarationError(f"{here}: aliases and anchors (* and &) are not read here. Write the text out.")
    if tag:
        raise DeclarationError(f"{here}: tags (such as {tag}) are not read here. Quote the text if it is one.")


def _value(node: yaml.Node, origin: str) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, origin)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, origin) for item in node.value]
    return _scalar(node, origin)


def _mapping(node: yaml.MappingNode, origin: str) -> dict[Any, Any]:
    values: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        here = f"{origin}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise DeclarationError(f"{here}: a key is a word, not a list or a mapping.")
        key = key_node.value if key_node.tag == f"{_PLAIN}merge" else _scalar(key_node, origin)
        if key in values:
            raise DeclarationError(f"{here}: the key '{key}' comes twice. Take one out.")
        values[key] = _value(value_node, origin)
    return values


def _scalar(node: yaml.Node, origin: str) -> Any:
    """Return the value of a text that carries no tag of its own."""
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        here = f"{origin}:{node.start_mark.line + 1}"
        shown = str(node.value)[:80]
        raise DeclarationError(f"{here}: '{shown}' is no {node.tag.removeprefix(_PLAIN)}: {error}") from None


def _line(error: yaml.YAMLError) -> int:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    return mark.line + 1 if mark else 1


def _words(error: yaml.YAMLError) -> str:
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return str(said).splitlines()[0]
