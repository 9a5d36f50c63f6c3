"""Which products are declared in a workspace: no more is read of them than their names, and what they use of each other."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from headrace.core.document import is_declaration, read_document

MOST_FILES = 4096


@dataclass(frozen=True)
class Mention:
    """What is told of a product before it is read."""

    product: str
    uses: dict[str, str] = field(default_factory=dict)
    """The owner of each feature table that it shares with another product."""


def declared_files(root: Path) -> dict[str, Path]:
    """Return the declaration file of each product of the project at `root`."""
    return {mention.product: file for file, mention in mentions(root).items()}


def mentions(root: Path) -> dict[Path, Mention]:
    """Return the declaration files of the project at `root`, and what each tells: read once while it stays as it is."""
    files = [(file, file.stat()) for file in sorted((root / "platform" / "products").glob("*/defs.yaml"))]
    found = {file: _mention(file, state.st_mtime_ns, state.st_size) for file, state in files}
    return {file: mention for file, mention in found.items() if mention}


@lru_cache(maxsize=MOST_FILES)
def _mention(file: Path, _changed_ns: int, _size: int) -> Mention | None:
    document = read_document(file) if is_declaration(file) else None
    attributes = attributes_of(document) or {}
    product, features = attributes.get("product"), attributes.get("features")
    if not isinstance(product, str) or not product:
        return None
    said = features.items() if isinstance(features, dict) else ()
    return Mention(
        product, {str(name): one["shared"] for name, one in said if isinstance(one, dict) and _is_shared(one)}
    )


def _is_shared(feature: dict[str, Any]) -> bool:
    return isinstance(feature.get("shared"), str)


def attributes_of(document: Any) -> dict[str, Any] | None:
    """Return what a document declares; None where it declares nothing."""
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return attributes if isinstance(attributes, dict) else None
