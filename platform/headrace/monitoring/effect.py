"""What a cause may do to the metric: the test rows, weighted so that their values are spread as in the window.

Under covariate shift a mean over other rows is the mean over these with the weights p(x) / q(x) (M. Sugiyama, M. Krauledat
and K.-R. Muller, Covariate Shift Adaptation by Importance Weighted Cross Validation, 2007); here x is the bin of one
column within the slice, or being in the slice. It cannot see values that no test row has, what moves together with the
column, nor that the same values may by now lead to other answers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.headline import NUMBERS
from headrace.models.words import Task
from headrace.monitoring.cause import Effect
from headrace.monitoring.slices import Found, Searched

MOST_UNSEEN = 0.05
"""The share of the slice's rows with values that no test row has, beyond which nothing is estimated."""
HEAVIEST = 50.0
"""The greatest weight: beyond it one test row would stand for too many."""


@dataclass(frozen=True)
class ScoredRows:
    """Rows that the model was not trained on, in bins, with its scores and what came true."""

    codes: Any
    scores: Any
    answers: Any
    task: Task
    quantile: float | None = None


def expected_effect(tested: ScoredRows, window: Searched, found: Found) -> Effect | None:
    """Return what the metric of the test rows loses or gains by what happened to a slice; None for a task without one.

    No value where more than a twentieth of the slice's rows in the window have values that no test row has.
    """
    metric = NUMBERS[tested.task][0]
    if metric == "ndcg" or not tested.codes.shape[1]:
        return None
    weights, unseen = _weights(tested.codes, window, found)
    if unseen > MOST_UNSEEN:
        return Effect(metric=metric, value=None, unseen=unseen)
    value = weighted_metric(tested, weights), weighted_metric(tested, np.ones(len(weights)))
    if value[0] is None or value[1] is None:
        return None
    return Effect(metric=metric, value=value[0] - value[1], unseen=unseen)


def weighted_metric(tested: ScoredRows, weights: Any) -> float | None:
    """Return AUC, RMSE or pinball loss of weighted rows; None where one class has no weight."""
    if tested.task == "classification":
        return weighted_auc(tested.answers, tested.scores, weights)
    errors = tested.answers - tested.scores
    if tested.quantile is not None:
        errors = np.maximum(tested.quantile * errors, (tested.quantile - 1) * errors)
        return float(np.average(errors, weights=weights))
    return float(np.sqrt(np.average(errors**2, weights=weights)))


def weighted_auc(answers: Any, scores: Any, weights: Any) -> float | None:
    """Return the weight of the pairs that are in order among all pairs of a 1 and a 0; of ties half counts."""
    _, places = np.unique(scores, return_inverse=True)
    ones, zeros = (np.bincount(places, weights * (answers == one)) for one in (1, 0))
    total = ones.sum() * zeros.sum()
    below = np.cumsum(zeros) - zeros / 2
    return float((ones * below).sum() / total) if total else None


def _weights(codes: Any, window: Searched, found: Found) -> tuple[Any, float]:
    """Return the weight of each test row, and the share of the slice's rows whose values no test row has."""
    inside, weights = found.slice.holds(codes), np.ones(codes.shape[1])
    then = found.slice.holds(window.after)
    if found.kind == "share":
        share, now = inside.mean(), then.mean()
        if not share:
            return weights, 1.0
        return np.where(inside, now / share, (1 - now) / max(1 - share, 1e-9)), 0.0
    size = window.columns[found.column].size
    tested = np.bincount(codes[found.column, inside], minlength=size)
    now = np.bincount(window.after[found.column, then], minlength=size)
    unseen = float(now[tested == 0].sum() / max(now.sum(), 1))
    ratio = np.divide(now / max(now.sum(), 1), tested / max(tested.sum(), 1), out=np.zeros(size), where=tested > 0)
    weights[inside] = np.minimum(ratio, HEAVIEST)[codes[found.column, inside]]
    if weights[inside].sum():
        weights[inside] *= inside.sum() / weights[inside].sum()
    return weights, unseen
