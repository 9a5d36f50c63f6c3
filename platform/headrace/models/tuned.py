"""What is applied behind a model: its calibration and its threshold."""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

FILE = "tuned.json"
SURE = 1e-12
"""How near to 0 and 1 a score is taken to be at most: its log-odds must be a number."""


class Calibration(BaseModel):
    """A function of scores that never falls: a broken line, or a logistic curve of their log-odds."""

    method: Literal["isotonic", "platt"]
    scores: list[float] = []
    chances: list[float] = []
    """The broken line's corners; level beyond them."""
    slope: float = 1.0
    shift: float = 0.0

    def apply(self, scores: Any) -> Any:
        """Return the calibrated score of each row."""
        if self.method == "isotonic":
            return np.interp(scores, self.scores, self.chances)
        from scipy.special import expit

        return expit(self.slope * log_odds(scores) + self.shift)


class Tuned(BaseModel):
    """What is applied behind the model: its calibration, and from which score on a row is decided as positive."""

    calibration: Calibration | None = None
    threshold: float | None = None

    def apply(self, scores: Any) -> Any:
        """Return the scores as they are used."""
        return self.calibration.apply(scores) if self.calibration else scores


def log_odds(scores: Any) -> Any:
    """Return the log-odds of each score, as a float64."""
    from scipy.special import logit

    return np.asarray(logit(np.clip(scores, SURE, 1 - SURE)))
