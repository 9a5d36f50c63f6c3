"""What a user may say about how much may be asked of the server, and how slowly."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Memory

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_A_SECOND = timedelta(seconds=1)


def parse_rate(text: Any) -> float:
    """Return the requests a second of "100/s", "600/m" or "50/h"."""
    if isinstance(text, int | float) and not isinstance(text, bool) and text > 0:
        return float(text)
    match = re.fullmatch(r"([1-9]\d{0,8})\s*/\s*([smh])", str(text).strip())
    if not match:
        raise ValueError(f"'{text}' is not a rate: write a number and a unit of time, such as 100/s, 600/m or 50/h")
    return int(match[1]) / _SECONDS[match[2]]


def rate_text(rate: float) -> str:
    """Return a short text that `parse_rate` reads back as `rate`, where it is a whole number a second, minute or hour."""
    for unit, seconds in _SECONDS.items():
        if abs(rate * seconds - round(rate * seconds)) < 1e-6:
            return f"{round(rate * seconds)}/{unit}"
    return str(rate)


Rate = Annotated[float, BeforeValidator(parse_rate, json_schema_input_type=str), PlainSerializer(rate_text)]
"""Requests a second, written "100/s"."""


class Within(Declaration):
    """How long a client, or an answer, may take; a connection that takes longer is closed."""

    header: Duration = Field(default=timedelta(seconds=5), ge=_A_SECOND)
    """From the first byte of a request, or from connecting, to the end of its headers."""
    body: Duration = Field(default=timedelta(seconds=10), ge=_A_SECOND)
    """From there to the end of its body."""
    answer: Duration = Field(default=timedelta(seconds=10), ge=_A_SECOND)
    """From there to the end of the answer, read by the client; 504 where it has not begun by then."""
    idle: Duration = Field(default=timedelta(seconds=30), ge=_A_SECOND)
    """Between two requests of a connection."""


class Limits(Declaration):
    """How much may be asked of one worker process of the server: N workers bear N times as much."""

    per_key: Rate | None = 100.0
    """Requests of one API key, such as `100/s` or `600/m`; 429 above. `null`: any number."""
    per_address: Rate | None = 200.0
    """Requests of one address (of IPv6, its /64 network), known keys or not; `null` behind a proxy, which is one address."""
    burst: int = Field(default=50, ge=1)
    """How many requests of a key or address may come at once."""
    body: Memory = "1MiB"
    """The largest body of a request; 413 above, before it is read."""
    most_waiting: int = Field(default=32, ge=1)
    """How many requests may be answered or wait for it at once; 503 above, before the body is read. The last one that is
    accepted waits at most about twice that many answers."""
    most_connections: int = Field(default=1000, ge=1)
    """How many connections are held open; 503 above."""
    within: Within = Within()
    """Deadlines."""
