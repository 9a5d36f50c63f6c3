"""What a user may say about monitoring."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from headrace.core.declaration import Declaration
from headrace.core.names import Duration
from headrace.features.declaration import Suspect


class Drift(Declaration):
    """How far features and scores may move from the training set.

    Where a window has so few rows that chance alone may reach a limit, that limit is raised.
    """

    window: Duration = Field(default=timedelta(days=7), gt=timedelta())
    """How many days of scored rows are compared."""
    psi: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    """The greatest population stability index of a feature."""
    score_psi: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    """The greatest population stability index of the scores."""
    missing: float = Field(default=0.1, gt=0, le=1)
    """The greatest rise of a feature's share of missing values."""
    ignore: list[str] = Field(default=[])
    """Features that are shown but never alarm, such as the month."""


class Quality(Declaration):
    """How good the live model must stay, once labels are known."""

    metric: Literal["auc"] = "auc"
    """What is measured."""
    floor: float | None = Field(default=None, allow_inf_nan=False)
    """The least value that is good enough; without it quality is measured and shown, and never alarms."""
    window: Duration = Field(default=timedelta(days=28), gt=timedelta())
    """How many days of labelled scores count."""


class Monitors(Declaration):
    """What is watched: the training set as it is made, the model while it is live."""

    drift: Drift = Drift()
    """Against the training profile."""
    quality: Quality = Quality()
    """Against what came true."""
    suspect: Suspect = Suspect()
    """When a column of the training set looks as if it knew the label."""
    freshness: Duration | None = None
    """How old the newest label that the live model was judged on may be."""
