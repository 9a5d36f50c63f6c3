"""Where a key stands in a YAML file."""

from pathlib import Path

import yaml

from headrace.core.document import LOADER


def position_of(file: Path, path: tuple[str, ...]) -> str:
    """Return "file:line" of the key that `path` leads to, or of the last key on the way that is there."""
    node = yaml.compose(file.read_text(), LOADER) if file.exists() else None
    line = 1
    for key in path:
        if not isinstance(node, yaml.MappingNode):
            break
        found = next(((k, v) for k, v in node.value if k.value == key), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return f"{file}:{line}"
