"""How often sensors look: one daemon looks at those of all products in turn, so that each of many is looked at less often."""

import os
from math import ceil
from pathlib import Path

SOON_S, NOW_AND_THEN_S = 5, 30
"""What waits for files or for a decision to train; what guards, judges or tells."""
PRODUCT_S = 0.5
"""Seconds between two looks for each product of a project: what a daemon on two cores was seen to keep up with (decision 0036)."""


def every(root: Path, least: int) -> int:
    """Return after how many seconds a sensor of the project at `root` looks again: `least`, or as long as a round takes."""
    products = root / "platform" / "products"
    if not products.is_dir():
        return least
    with os.scandir(products) as found:
        return max(least, ceil(PRODUCT_S * sum(entry.is_dir() for entry in found)))
