"""Expected metrics of scores whose labels nobody knows yet: confidence-based performance estimation (CBPE).

Each row came true with the chance that its score had on the model's own test set. Counts of the confusion matrix are
then sums of chances, and metrics follow from them. Source: J. Białek, W. Kuberski, N. Perrakis, A. Bifet, Estimating
Model Performance Under Covariate Shift Without Labels (2024), and the NannyML library; related: S. Garg and others,
Leveraging Unlabeled Data to Predict Out-of-Distribution Performance (ICLR 2022). It holds as long as rows of one score
come true as often as they did in the test: where rows change (covariate shift), not where the world does (concept drift).

The band has two parts: which labels such chances draw (the delta method, by the derivative of the metric by each row's
label, widened by how much rows of one day share), and what the test set left unknown of the chances (calibrated anew on
samples of its days).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from pydantic import BaseModel

from headrace.models.blocks import Array, drawn
from headrace.models.tuned import SURE, Calibration, log_odds

SAMPLES = 50
"""How often the chances are calibrated anew, each time on other days of the test set."""
GRID = 200


@dataclass(frozen=True)
class Estimate:
    """A metric without labels: its expected value, and the standard deviation of what will come true about it."""

    value: float
    deviation: float


class Calibrated(BaseModel):
    """What a test set says of a model's scores."""

    calibration: Calibration
    grid: list[float]
    samples: list[list[float]]
    """The chance at each score of the grid, calibrated on other days of the test set."""
    sharing: dict[str, float]
    """Metric → how many times greater its variance is than that of rows which share nothing with the others of their day."""
    tested: dict[str, float]
    """What each metric was on the test set, with its labels."""
    rows: int
    blocks: int
    """How many days the test set has."""
    threshold: float

    def estimates(self, scores: Any) -> dict[str, Estimate]:
        """Return what is to be expected of scores, a float64 a row, without their labels."""
        held = Held(np.asarray(scores, dtype=float), self.threshold)
        chances = self.calibration.apply(held.scores)
        values, slopes = held.expected(chances), held.slopes(chances)
        others = [held.expected(np.interp(held.scores, self.grid, sample)) for sample in self.samples]
        found = {}
        for name, value in values.items():
            labels = self.sharing[name] * float((slopes[name] ** 2 * chances * (1 - chances)).sum())
            unknown = float(np.var([other[name] for other in others], ddof=1))
            if np.isfinite(value + labels + unknown):
                found[name] = Estimate(value, float(np.sqrt(labels + unknown)))
        return found


def calibrated(scores: Any, answers: Any, blocks: Array, threshold: float) -> Calibrated:
    """Return what labelled rows of a test set say of a model's scores; `blocks` numbers the day of each row.

    Answers are 0 and 1, and both occur.
    """
    order = np.argsort(scores, kind="stable")
    held = Held(np.asarray(scores, dtype=float)[order], threshold)
    came_true, days = np.asarray(answers, dtype=float)[order], np.asarray(blocks)[order]
    calibration = _isotonic(held.scores, came_true, np.ones(len(days)))
    grid = np.unique(np.concatenate([calibration.scores, np.quantile(held.scores, np.linspace(0, 1, GRID))]))
    samples = []
    for times in drawn(int(days.max()) + 1)[1 : SAMPLES + 1]:
        weights = times[days]
        if 0 < (weights * came_true).sum() < weights.sum():
            samples.append(_isotonic(held.scores, came_true, weights).apply(grid).tolist())
    return Calibrated(
        calibration=calibration,
        grid=grid.tolist(),
        samples=samples,
        sharing=_sharing(held, came_true, calibration.apply(held.scores), days),
        tested=realized(held.scores, came_true, threshold),
        rows=len(days),
        blocks=len(np.unique(days)),
        threshold=threshold,
    )


def _isotonic(scores: Array, answers: Array, weights: Array) -> Calibration:
    """Return the broken line that never falls and lies nearest, as it is: a chance may be 0 or 1 here."""
    from sklearn.isotonic import IsotonicRegression  # noqa: PLC0415  importing scikit-learn takes a second

    used = weights > 0
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores[used], answers[used], weights[used])
    scores, chances = (np.asarray(values, dtype=float) for values in (fitted.X_thresholds_, fitted.y_thresholds_))
    return Calibration(method="isotonic", scores=scores.tolist(), chances=chances.tolist())


def realized(scores: Any, answers: Any, threshold: float) -> dict[str, float]:
    """Return the same metrics of rows whose labels are known: chances of 0 and 1."""
    order = np.argsort(scores, kind="stable")
    values = Held(np.asarray(scores, dtype=float)[order], threshold).expected(np.asarray(answers, dtype=float)[order])
    return {name: value for name, value in values.items() if np.isfinite(value)}


class Held:
    """Scores, and which rows they decide as positive."""

    def __init__(self, scores: Array, threshold: float) -> None:
        self.scores = np.sort(scores)
        self.chosen = self.scores >= threshold

    @cached_property
    def _starts(self) -> Array:
        """Where each different score begins."""
        return np.flatnonzero(np.concatenate([[True], self.scores[1:] != self.scores[:-1]]))

    @cached_property
    def _odds(self) -> Array | None:
        """The log-odds of each score; None where scores are no probabilities."""
        inside = self.scores[0] >= 0 and self.scores[-1] <= 1
        return np.asarray(log_odds(self.scores)) if inside else None

    def expected(self, chances: Array) -> dict[str, float]:
        """Return each metric where row i, by rising score, is positive with its chance."""
        count, chosen = len(chances), self.chosen
        hits, positives, decided = float(chances[chosen].sum()), float(chances.sum()), int(chosen.sum())
        false, missed = decided - hits, positives - hits
        negatives = count - positives
        with np.errstate(divide="ignore", invalid="ignore"):
            values = {
                "auc": self._won(chances) / np.float64(positives * negatives),
                "accuracy": (hits + negatives - false) / count,
                "precision": np.float64(hits) / decided,
                "recall": np.float64(hits) / positives,
                **self._probable(chances),
                "true_positives": hits,
                "false_positives": false,
                "false_negatives": missed,
                "true_negatives": negatives - false,
            }
        return {name: float(value) for name, value in values.items()}

    def slopes(self, chances: Array) -> Mapping[str, Array]:
        """Return the derivative of each metric by the label of each row."""
        count, chosen = len(chances), self.chosen.astype(float)
        values = self.expected(chances)
        positives = chances.sum()
        negatives = count - positives
        below, above = self._sides(chances)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = {
                "auc": (below - above - values["auc"] * (negatives - positives)) / (positives * negatives),
                "accuracy": (2 * chosen - 1) / count,
                "precision": chosen / chosen.sum(),
                "recall": (chosen - values["recall"]) / positives,
                "true_positives": chosen,
                "false_positives": -chosen,
                "false_negatives": 1 - chosen,
                "true_negatives": chosen - 1,
            }
        if self._odds is not None:
            found |= {"log_loss": -self._odds / count, "brier": (1 - 2 * self.scores) / count}
        return found

    def _probable(self, chances: Array) -> dict[str, float]:
        if self._odds is None:
            return {}
        sure = np.clip(self.scores, SURE, 1 - SURE)
        loss = -(chances * np.log(sure) + (1 - chances) * np.log1p(-sure))
        return {
            "log_loss": float(loss.mean()),
            "brier": float((self.scores**2 - 2 * self.scores * chances + chances).mean()),
        }

    def _won(self, chances: Array) -> float:
        """Return the expected number of pairs that the scores put in order; ties count half."""
        return float((chances * self._sides(chances)[0]).sum())

    def _sides(self, chances: Array) -> tuple[Array, Array]:
        """Return for each row how many negatives score below it, and how many positives above; ties count half."""
        starts, sizes = self._starts, np.diff(np.append(self._starts, len(chances)))
        positive = np.add.reduceat(chances, starts)
        negative = sizes - positive
        below = np.cumsum(negative) - negative / 2
        above = positive.sum() - np.cumsum(positive) + positive / 2
        return np.repeat(below, sizes), np.repeat(above, sizes)


def _sharing(held: Held, answers: Array, chances: Array, days: Array) -> dict[str, float]:
    """Return the design effect of each metric: the variance of sums over days against that of rows alone, at least 1."""
    blocks, found = len(np.unique(days)), {}
    for name, slope in held.slopes(chances).items():
        sums = np.bincount(days, weights=slope * (answers - chances))
        alone = float((slope**2 * chances * (1 - chances)).sum())
        found[name] = max(1.0, float((sums**2).sum()) * blocks / max(blocks - 1, 1) / alone) if alone > 0 else 1.0
    return found
