"""A request on its way to an answer: as it came, its rows, and by what it is read and answered."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from headrace.online.log import RequestLog
from headrace.online.lookup import Served
from headrace.online.view import View
from headrace.serving.door import Asked, Door
from headrace.serving.journal import Journal
from headrace.serving.traces import Trace


class Call(NamedTuple):
    """A request, as it came."""

    asked: Asked
    request: str
    """Its id."""
    key: str
    """The id of the key that it came with; empty where none is needed."""
    received: float
    """Seconds since 1970."""
    began: float
    """The same moment by the clock that latency is measured with."""
    trace: Trace | None = None
    """Where it is written what answered it, if it is traced."""


class Row(NamedTuple):
    """One row of a request."""

    number: int
    at: datetime
    """As of when it is asked about."""
    values: Mapping[str, Any]
    """What the model may see of it."""


class By(NamedTuple):
    """By which version of the features rows are answered."""

    version: int
    degraded: bool = False


class Bound(NamedTuple):
    """One published version of the features, and how requests are read by it."""

    view: View
    door: Door
    types: pa.Schema
    """The columns of a request, and its features."""
    is_plain: bool
    """Whether one row is looked up where it stands."""
    nothing: Served | None
    """What is looked up where no table is: nothing."""


class Records(NamedTuple):
    """What is kept of requests."""

    journal: Journal | None = None
    """All answers, or the declared share of them."""
    sample: RequestLog | None = None
    """Some requests with what they were served, for `headrace skewcheck`."""


NOTHING_KEPT = Records()
