"""What may be said of a load test."""

from pydantic import Field

from headrace.access.declaration import Rate
from headrace.core.declaration import Declaration
from headrace.core.names import Milliseconds, Share


class Plan(Declaration):
    """Which rates a server is asked at, and for how long."""

    rates: list[Rate] = Field(default=[])
    """Requests a second, one rate after the other; without any they double until they are not borne, and the capacity is
    looked for between the last two."""
    seconds: float = Field(default=5.0, ge=0.5, le=3600)
    """How long each rate lasts; a rate so low that fewer than a hundred requests come lasts until they have."""
    connections: int = Field(default=64, ge=1, le=900)
    """How many connections stay open; a server refuses more than 1,000 by default."""
    overload: bool = False
    """Whether three times the capacity is asked, too, and how soon the server is well again."""


class Bounds(Declaration):
    """What counts as borne."""

    p99: Milliseconds = 100.0
    """Within what time 99 of 100 requests are answered."""
    errors: Share = 0.0
    """Which share of the requests may go without an answer."""
