"""Declarations as people write them: a column a line."""

from typing import Any

import yaml

_LONGEST_WHOLE = 1e15


def line(name: str, said: Any) -> str:
    """Return one key with its value in one line of YAML; whole numbers without a point."""
    text: str = yaml.safe_dump(
        {name: _plain(said)}, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.strip().removeprefix("{").removesuffix("}")


def _plain(said: Any) -> Any:
    if isinstance(said, dict):
        return {key: _plain(value) for key, value in said.items()}
    is_whole = isinstance(said, float) and said.is_integer() and abs(said) < _LONGEST_WHOLE
    return int(said) if is_whole else said
