"""What a server must know of a product: all of it in one document, for wherever the project itself is not."""

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel

from headrace.access.declaration import Limits
from headrace.core.clock import ClockKind
from headrace.models.words import Task
from headrace.serving.contract import Rule
from headrace.serving.declaration import Price, Sla


class Served(BaseModel, frozen=True):
    """A product as it is served."""

    product: str
    description: str
    owner: str | None
    task: Task
    label: str
    """The column that is predicted."""
    entity: str
    """The column that names a row."""
    time: str
    """The column that says as of when."""
    clock: ClockKind
    rules: dict[str, Rule]
    """What the contracts of its sources say of a request's columns."""
    when_down: Literal["fail", "default"] | timedelta
    """What is answered while the online store is away."""
    most_rows: int
    """How many rows a request may have."""
    limits: Limits
    """How much may be asked, and how slowly."""
    sticky: str
    """The column that says who always gets the same model while a release takes over."""
    logged: float
    """Which share of the requests is written into the table of predictions."""
    sampled: bool
    """Whether some requests are also kept with what they were served, for `headrace skewcheck`."""
    hashed: list[str]
    """Whose values are written as keyed hashes there."""
    sla: Sla = Sla()
    """What alert rules hold the server to."""
    price: Price | None = None
    """What an hour of a processor costs, where that is declared."""
    only: str | None = None
    """The digest of the one model that answers, released or not, for a test of it; None: whichever is live."""
