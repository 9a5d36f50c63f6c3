"""The front door: everything that is declared below products."""

from pathlib import Path

import dagster as dg

from headrace.definitions import load_platform


@dg.definitions
def defs() -> dg.Definitions:
    """Return all products, and any plain asset beside them."""
    return load_platform(Path(__file__).parent / "products")
