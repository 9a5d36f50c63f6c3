"""Which products are declared in a workspace: no more is read of them than their names."""

from pathlib import Path
from typing import Any

from headrace.core.document import is_declaration, read_document


def declared_files(root: Path) -> dict[str, Path]:
    """Return the declaration file of each product of the project at `root`."""
    files = sorted((root / "platform" / "products").glob("*/defs.yaml"))
    named = {file: _product_name(read_document(file)) for file in files if is_declaration(file)}
    return {name: file for file, name in named.items() if name}


def attributes_of(document: Any) -> dict[str, Any] | None:
    """Return what a document declares; None where it declares nothing."""
    attributes = document.get("attributes") if isinstance(document, dict) else None
    return attributes if isinstance(attributes, dict) else None


def _product_name(document: Any) -> str | None:
    name = (attributes_of(document) or {}).get("product")
    return name if isinstance(name, str) else None
