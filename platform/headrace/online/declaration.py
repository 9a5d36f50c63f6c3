"""What a user may say about features that are served online."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Share, duration_text, parse_duration


def _down(given: Any) -> Any:
    return given if given in ("fail", "default") else parse_duration(given)


def _down_text(policy: timedelta | str) -> str:
    return duration_text(policy) if isinstance(policy, timedelta) else policy


WhenDown = Annotated[
    Literal["fail", "default"] | timedelta,
    BeforeValidator(_down, json_schema_input_type=str),
    PlainSerializer(_down_text, return_type=str),
]


class Online(Declaration):
    """The newest values of all feature tables, for requests one by one. Where they lie says HEADRACE_ONLINE_URL."""

    back: Duration = Field(default=timedelta(hours=1), ge=timedelta())
    """How far behind the instant of the publication a request may lie; what held before that is dropped."""
    when_down: WhenDown = "fail"
    """What is answered while the online store does not answer: `fail` (503), `default` (as for somebody who was never seen,
    marked as degraded), or what was read before, if it is not older than this: `10m` (marked as degraded)."""
    most_rows: int = Field(default=1000, ge=1, le=100_000)
    """How many rows a request may have."""
    log: Share = 0.0
    """Which share of the requests is logged with the features that it was served, for `headrace skewcheck`: `1%`."""
