"""What a user may say about what a model is for."""

from pydantic import Field

from headrace.core.declaration import Declaration


class Card(Declaration):
    """What only people know of a model: it stands on the card of each release."""

    intended_use: str = Field(default="", max_length=4000)
    """Who is to use the scores, and for what."""
    not_for: str = Field(default="", max_length=4000)
    """What they must not be used for."""
    limits: str = Field(default="", max_length=4000)
    """Where the model is known to be weak, and what it never saw."""
