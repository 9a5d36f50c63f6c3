"""What a user may say about serving."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from headrace.access.declaration import Limits, Rate
from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Milliseconds, Share
from headrace.online.declaration import Online
from headrace.rollout.declaration import Canary


class Batch(Declaration):
    """Scores on a schedule."""

    every: Literal["day"] = "day"
    """How often the newest day is scored."""
    cron: str = Field(default="0 6 * * *")
    """When, in the product's time zone."""


class Predictions(Declaration):
    """What is kept of the predictions that are served one by one, in the table predictions/online."""

    share: Share = 1.0
    """Which share of the requests is kept: `10%`; all by default."""
    hash: list[str] = Field(default=[])
    """The columns of which a keyed hash is kept instead of the value: who may be a person."""


class Price(Declaration):
    """What work costs: for the metric headrace_cost_total of a server, and for the cost of each asset."""

    cpu_hour: float = Field(gt=0)
    """The price of an hour of one processor. Counted is the processor time of a server's own processes, and of each step of
    a run; memory, idle machines, the online store and the network are not."""
    gigabyte: float = Field(default=0.0, ge=0)
    """The price of a gigabyte (a thousand million bytes) that a step reads or writes; servers do not count it."""
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    """In which currency, by ISO 4217: EUR."""


class Sla(Declaration):
    """What whoever asks may rely on: alert rules hold a server to it, and `headrace loadtest` a worker process."""

    p99: Milliseconds = 100.0
    """Within what time 99 of 100 requests are answered, from the moment at which they were due: `20ms`. One that takes longer
    is written to the log."""
    rate: Rate | None = Field(default=None, ge=1)
    """Up to how many requests that holds: `200/s`, at least one a second. Without it a load test has nothing to be held to."""
    errors: Share = Field(default=0.01, le=0.5)
    """Which share of them may go without an answer: refused, failed or late by ten seconds."""
    features_age: Duration = Field(default=timedelta(hours=36), gt=timedelta())
    """How long ago the features that are served may have been published."""


class Serve(Declaration):
    """How the live model is used."""

    batch: Batch = Batch()
    """Scores of whole days."""
    online: Online | None = None
    """Features for requests one by one: `online: {}` publishes the newest values of every entity."""
    predictions: Predictions = Predictions()
    """What is kept of the answers to requests."""
    limits: Limits = Limits()
    """How much may be asked of a server one by one, and how slowly."""
    canary: Canary | None = None
    """A release takes over in steps, judged against the one before it: `canary: {}` has careful defaults."""
    sla: Sla = Sla()
    """What is promised: `{p99: 20ms, rate: 200/s}`."""
    price: Price | None = None
    """What it costs: `price: {cpu_hour: 0.04, currency: EUR}`; not said by default."""

    @property
    def keeps_predictions(self) -> bool:
        """Whether what is served one by one is kept."""
        return self.online is not None and self.predictions.share > 0

    @property
    def promised(self) -> Sla | None:
        """What a load test holds the server to; None where no rate is promised."""
        return self.sla if self.sla.rate else None
