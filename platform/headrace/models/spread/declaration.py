"""What a user may say about training on a cluster."""

from typing import Any, Literal

from pydantic import Field, model_validator

from headrace.core.declaration import Declaration

LEARNER = "lightgbm"
"""The one trainer that workers learn together by."""


class Workers(Declaration):
    """Who learns together: so many workers of a cluster, each from its own part of the rows."""

    on: Literal["ray"]
    """`ray`: the Ray cluster that the environment variable HEADRACE_RAY_ADDRESS names."""
    workers: int = Field(ge=2, le=1000)
    """How many workers. Each is a process of its own, on nodes of their own as far as there are as many."""
    processors: int = Field(default=1, ge=1, le=1024)
    """How many processors of its node each worker learns with. They change how long it takes, not the model."""


class Spread(Declaration):
    """A trainer on a cluster."""

    lightgbm: Workers
    """LightGBM, whose workers sum what they know of the rows before each split."""

    @model_validator(mode="before")
    @classmethod
    def _names_one_that_can(cls, given: Any) -> Any:
        """Say which trainer is learned on a cluster, where another one is written as a mapping."""
        others = [key for key in given if key != LEARNER] if isinstance(given, dict) else [given]
        if others or not given:
            raise ValueError(
                f"{others[0] if others else 'nothing'!r} is not learned on a cluster: {LEARNER} is, "
                f"{{{LEARNER}: {{on: ray, workers: 2}}}}. Others are written as a text, such as trainer: xgboost."
            )
        return given
