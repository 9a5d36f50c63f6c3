"""What a user may say about how a release takes over."""

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from headrace.core.declaration import Declaration
from headrace.core.names import Duration, Share, parse_share, share_text

SHADOW = "shadow"


def parse_step(text: Any) -> str:
    """Return a step as it is written down: "shadow", or a share such as "5%"."""
    if text == SHADOW:
        return SHADOW
    share = parse_share(text)
    if not 0 < share < 1:
        raise ValueError(
            f"'{text}' is no step: write shadow, or a share between 0% and 100%. Behind the last step a release gets everything"
        )
    return share_text(share)


def share_of(step: str) -> float:
    """Return the share of requests that the candidate answers in a step, from 0 to 1."""
    return 0.0 if step == SHADOW else parse_share(step)


Step = Annotated[str, BeforeValidator(parse_step, json_schema_input_type=str)]
"""A step of a rollout, written "shadow" or "5%"."""


class Tolerance(Declaration):
    """How much worse than the champion a candidate may be. `null` for one: it is shown, and decides nothing."""

    errors: Share | None = Field(default=0.01, gt=0)
    """How many more of its requests may fail: 1% is one more in a hundred."""
    latency: Share | None = Field(default=0.2, gt=0)
    """How much slower it may be than the champion's 99th percentile: of its requests at most 2% may take longer than that and
    this much more, where of the champion's 1% take longer than the percentile."""
    shift: float | None = Field(default=0.1, gt=0, allow_inf_nan=False)
    """How far its mean score may lie from the champion's, either way, in standard deviations of the champion's scores."""
    quality: float | None = Field(default=0.01, gt=0, allow_inf_nan=False)
    """How much greater its loss may be, once labels are known: the Brier score of a classification; of a number the squared error
    in variances of the label; of a quantile the pinball loss in standard deviations of the label."""


class Canary(Declaration):
    """How a release takes over from the one before it: in steps, each judged, and back by itself where it does harm."""

    steps: list[Step] = Field(default=[SHADOW, "5%", "25%", "50%"], min_length=1)
    """First `shadow`, if at all: it scores every request beside the champion, and nobody gets its answers. Then the shares of
    entities that it answers. Behind the last one it gets everything."""
    bake: Duration = Field(default=timedelta(minutes=30), gt=timedelta())
    """How long each step lasts at least. Where it is at least as long as labels take, the quality must be good to go on, too."""
    at_least: int = Field(default=500, ge=100)
    """How many requests the candidate must have had in a step."""
    by: str | None = None
    """The column of a request that says who always gets the same model while the step is the same; by default the label's
    entity. A request without it goes by its own id."""
    tolerance: Tolerance = Tolerance()
    """How much worse it may be."""
    false_alarms: Share = Field(default=0.05, gt=0, lt=0.5)
    """How likely a release that is as good as the champion is taken back by chance, over all its steps, however often one
    looks; and how likely at most a step is passed by one that is worse than tolerated."""

    @field_validator("steps")
    @classmethod
    def _grow(cls, steps: list[str]) -> list[str]:
        if SHADOW in steps[1:]:
            raise ValueError("`shadow` is the first step, or none")
        for before, after in pairwise(steps):
            if share_of(after) <= share_of(before):
                raise ValueError(f"steps grow: {after} behind {before} does not")
        return steps
