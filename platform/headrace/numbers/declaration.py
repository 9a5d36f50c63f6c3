"""What a user may say about the numbers of a product."""

from datetime import timedelta

from pydantic import Field

from headrace.core.declaration import Declaration
from headrace.core.names import Duration


class Numbers(Declaration):
    """Over what time the numbers of a product are taken."""

    window: Duration = Field(default=timedelta(days=30), ge=timedelta(days=1))
    """How far back events count, by the product's clock; costs by the clock on the wall."""
