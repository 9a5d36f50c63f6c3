"""Declarations as people write them: a column a line."""

from collections.abc import Iterator
from typing import Any

import yaml

_LONGEST_WHOLE = 1e15


def line(name: str, said: Any) -> str:
    """Return one key with its value in one line of YAML; whole numbers without a point."""
    # PyYAML writes some line separators of Unicode so that no reader finds them again: these are escaped.
    is_shown = all(map(str.isprintable, _texts({name: said})))
    text: str = yaml.safe_dump(
        {name: _plain(said)}, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=is_shown
    )
    return text.strip().removeprefix("{").removesuffix("}")


def _plain(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _plain(value) for key, value in said.items()}
    is_whole = isinstance(said, float) and said.is_integer() and abs(said) < _LONGEST_WHOLE
    return int(said) if is_whole else said


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        yield from (text for part in said.items() for inner in part for text in _texts(inner))
    elif isinstance(said, list):
        yield from (text for inner in said for text in _texts(inner))
    elif isinstance(said, str):
        yield said
