"""Headrace: declare an ML product in one file, get a graph of data, models and monitors."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.product import Product as Product

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
