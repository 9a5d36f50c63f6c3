"""Headrace: declare an ML product in one file, get a graph of data, models and monitors."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.product import Product as Product

# Read when LightGBM's and scikit-learn's threads are made: where other work has the processors, those that wait for each
# other by spinning take ten times as long (decision 0040).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["Product"]


def __getattr__(name: str) -> Any:
    """Import the component only when somebody asks for it: it brings Dagster along."""
    if name == "Product":
        from headrace.product import Product

        return Product
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the component, too: Dagster's registry finds it by its name."""
    return [*globals(), "Product"]
