"""What a user may say about serving."""

from typing import Literal

from pydantic import Field

from headrace.core.declaration import Declaration
from headrace.online.declaration import Online


class Batch(Declaration):
    """Scores on a schedule."""

    every: Literal["day"] = "day"
    """How often the newest day is scored."""
    cron: str = Field(default="0 6 * * *")
    """When, in the product's time zone."""


class Serve(Declaration):
    """How the live model is used."""

    batch: Batch = Batch()
    """Scores of whole days."""
    online: Online | None = None
    """Features for requests one by one: `online: {}` publishes the newest values of every entity."""
