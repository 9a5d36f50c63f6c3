"""What a user may say about incidents."""

from datetime import timedelta

from pydantic import Field

from headrace.core.declaration import Declaration
from headrace.core.names import Duration


class Incidents(Declaration):
    """When an incident is over, and how far its timeline looks back."""

    recovered_after: Duration = Field(default=timedelta(hours=1), ge=timedelta())
    """How long, by the product's clock, what has failed must pass again until its incident closes by itself."""
    look_back: Duration = Field(default=timedelta(days=7), gt=timedelta())
    """How far before its alarm the timeline of an incident begins."""
