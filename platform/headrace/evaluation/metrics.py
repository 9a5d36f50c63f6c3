"""Metrics of scores, by the model's task, each for any number of samples of the same rows at once.

A sample says how often each block of rows is drawn. AUC is exact in each: it is the share of won pairs, and how many
pairs rows of one block win over rows of another is counted once.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from headrace.models.blocks import Array
from headrace.models.words import Task

CALIBRATION_BINS = 10
STEPS, MOST_SCORES = 128, 1000
"""In how many steps of recall the average precision of a sample is told, where scores are more than so many."""
TOP = 0.1
"""The part of the rows that lift looks at: those with the highest scores."""
HALF = 0.5
FIRST = 10
"""How many rows of a group a ranking is judged by."""


@dataclass(frozen=True)
class Decision:
    """From which score on a row is decided as positive, and what each kind of error costs."""

    threshold: float = HALF
    false_positive: float | None = None
    false_negative: float | None = None


@dataclass(frozen=True)
class Aim:
    """What scores are for."""

    task: Task = "classification"
    decision: Decision = field(default_factory=Decision)
    quantile: float = 0.5
    """Which quantile is predicted, for the task of that name."""


@dataclass(frozen=True)
class Ranked:
    """Rows in the order of their scores: what came true, the score, the block, and for a ranking the group of each."""

    answers: Array
    scores: Array
    blocks: Array
    count: int
    """How many blocks there are."""
    groups: Array | None = None

    @cached_property
    def came_true(self) -> Array:
        """Whether each row is of the class that is predicted."""
        return np.asarray(self.answers == 1)

    def part(self, rows: Array) -> "Ranked":
        """Return some of the rows."""
        groups = None if self.groups is None else self.groups[rows]
        return Ranked(self.answers[rows], self.scores[rows], self.blocks[rows], self.count, groups)

    def whole(self) -> "Ranked":
        """Return the rows as one block, for metrics without samples."""
        return Ranked(self.answers, self.scores, np.zeros(len(self.scores), dtype=np.int64), 1, self.groups)

    def sums(self, values: Array | None = None) -> Array:
        """Return the sum of a value of each row over each block; the rows of each block where none is given."""
        return np.bincount(self.blocks, weights=values, minlength=self.count).astype(float)


def ranked(answers: Any, scores: Any, blocks: Any = None, order: Any = None) -> Ranked:
    """Return rows in the order of their scores, all in one block where none are given."""
    order = np.argsort(scores, kind="stable") if order is None else order
    numbers = np.zeros(len(order), dtype=np.int64) if blocks is None else blocks[order]
    return Ranked(np.asarray(answers)[order], np.asarray(scores)[order], numbers, int(numbers.max(initial=0)) + 1)


def metrics_of(rows: Ranked, draws: Array, aim: Aim) -> dict[str, Array]:
    """Return each metric of the task in each sample; `draws` has a row a sample, the first of ones, and a column a block."""
    # A sample of few days may hold no row of a slice: it has no value then.
    with np.errstate(divide="ignore", invalid="ignore"):
        match aim.task:
            case "classification":
                return binary_metrics(rows, draws, aim.decision)
            case "regression":
                return number_metrics(rows, draws)
            case "quantile":
                return quantile_metrics(rows, draws, aim.quantile)
            case "ranking":
                return ranking_metrics(rows, draws)


def number_metrics(rows: Ranked, draws: Array) -> dict[str, Array]:
    """Return the errors of predicted numbers: root mean square, mean absolute, the same as a share of what came true, R².

    The share is of rows whose answer is not 0.
    """
    error, held = rows.scores - rows.answers, rows.answers != 0
    count, squares = draws @ rows.sums(), draws @ rows.sums(error**2)
    share = np.abs(error) / np.where(held, np.abs(rows.answers), 1) * held
    mean = rows.answers.mean()
    spread = draws @ rows.sums((rows.answers - mean) ** 2) - (draws @ rows.sums(rows.answers - mean)) ** 2 / count
    return {
        "rmse": np.sqrt(squares / count),
        "mae": draws @ rows.sums(np.abs(error)) / count,
        "mape": draws @ rows.sums(share) / (draws @ rows.sums(held)),
        "r2": 1 - squares / np.where(spread > 0, spread, np.nan),
    }


def quantile_metrics(rows: Ranked, draws: Array, quantile: float) -> dict[str, Array]:
    """Return the pinball loss, and coverage: the share of rows that came true at or below what was predicted."""
    error, count = rows.answers - rows.scores, draws @ rows.sums()
    loss = np.maximum(quantile * error, (quantile - 1) * error)
    return {"pinball": draws @ rows.sums(loss) / count, "coverage": draws @ rows.sums(error <= 0) / count}


def ranking_metrics(rows: Ranked, draws: Array) -> dict[str, Array]:
    """Return the mean nDCG of the first ten of each group; groups without any grade above 0 say nothing.

    Rows of one score share their gains. Source: K. Järvelin, J. Kekäläinen (2002), with gains of 2^grade - 1.
    """
    groups = np.zeros(len(rows.scores), dtype=np.int64) if rows.groups is None else rows.groups
    gains = 2.0**rows.answers - 1
    _, ties = np.unique(np.stack([groups, rows.scores]), axis=1, return_inverse=True)
    shared = (np.bincount(ties, weights=gains) / np.bincount(ties))[ties]
    got, best = (_discounted(groups, order, values) for order, values in ((rows.scores, shared), (gains, gains)))
    known = best > 0
    blocks = np.full(len(best), rows.count, dtype=np.int64)
    np.minimum.at(blocks, groups, rows.blocks)
    sums = np.bincount(blocks[known], weights=got[known] / best[known], minlength=rows.count)
    return {"ndcg": draws @ sums / (draws @ np.bincount(blocks[known], minlength=rows.count))}


def _discounted(groups: Array, by: Array, gains: Array) -> Array:
    """Return the gains of the first ten rows of each group by falling `by`, each by its place."""
    order = np.lexsort((-by, groups))
    placed = groups[order]
    place = np.arange(len(order)) - np.searchsorted(placed, placed, side="left")
    worth = np.where(place < FIRST, gains[order] / np.log2(place + 2), 0)
    return np.bincount(placed, weights=worth)


def binary_metrics(rows: Ranked, draws: Array, decision: Decision) -> dict[str, Array]:
    """Return each metric in each sample; `draws` has a row a sample, the first of ones, and a column a block."""
    found = {
        "auc": auc(rows, draws),
        "average_precision": average_precision(rows, draws),
        "lift": lift(rows, draws),
    }
    found |= _decided(rows, draws, decision)
    return found | (_probable(rows, draws) if are_probabilities(rows) else {})


def are_probabilities(rows: Ranked) -> bool:
    """Return whether all scores lie between 0 and 1."""
    return bool(rows.scores[0] >= 0 and rows.scores[-1] <= 1)


def auc(rows: Ranked, draws: Array) -> Array:
    """Return the share of pairs, one of each class, that the scores put in order; ties count half."""
    wins = _wins(rows)
    pairs = (draws @ rows.sums(rows.came_true)) * (draws @ rows.sums(~rows.came_true))
    return np.asarray(((draws @ wins) * draws).sum(axis=1) / pairs)


def average_precision(rows: Ranked, draws: Array) -> Array:
    """Return the mean precision at each positive.

    Exact for the rows as they are, and in each sample where there are no more than 1,000 different scores; where there are
    more, a sample's distance to the whole is told in 128 steps of recall (within 1e-4 on 300,000 rows).
    """
    ties = _ties(rows)
    is_exact = ties[-1] < MOST_SCORES
    step = ties[-1] - ties if is_exact else _steps_of_recall(rows)
    size = int(step[0]) + 1
    cells = step * rows.count + rows.blocks
    true, false = (
        np.bincount(cells[kept], minlength=size * rows.count).reshape(size, rows.count) @ draws.T
        for kept in (rows.came_true, ~rows.came_true)
    )
    # Where scores share a step, half of it lies above the middle one; rows of one score share their place.
    part = 0 if is_exact else 0.5
    hits, misses = true.cumsum(axis=0) - part * true, false.cumsum(axis=0) - part * false
    with np.errstate(divide="ignore", invalid="ignore"):
        precise = np.where(true > 0, hits / (hits + misses), 0)
        stepped = (true * precise).sum(axis=0) / true.sum(axis=0)
    return np.asarray(stepped if is_exact else _precision_at_positives(rows) + stepped - stepped[0])


def lift(rows: Ranked, draws: Array) -> Array:
    """Return how many times more often the tenth with the highest scores came true than all rows; ties share the places."""
    size = len(rows.scores)
    places = max(round(size * TOP), 1)
    limit = rows.scores[size - places]
    above = size - np.searchsorted(rows.scores, limit, side="right")
    taken = np.where(rows.scores > limit, 1.0, 0.0)
    tied = rows.scores == limit
    taken[tied] = (places - above) / tied.sum()
    share = (draws @ rows.sums(taken * rows.came_true)) / (draws @ rows.sums(taken))
    return np.asarray(share / ((draws @ rows.sums(rows.came_true)) / (draws @ rows.sums())))


def bins_of(rows: Ranked, bins: int = CALIBRATION_BINS) -> Array:
    """Return which of some bins of equal size each row lies in, by its score."""
    sizes = [len(part) for part in np.array_split(np.arange(len(rows.scores)), bins)]
    return np.repeat(np.arange(bins), sizes)


def _ties(rows: Ranked) -> Array:
    """Return a number for each different score, from 0 for the lowest."""
    return np.concatenate([[0], np.cumsum(rows.scores[1:] != rows.scores[:-1])])


def _steps_of_recall(rows: Ranked) -> Array:
    """Return steps from the highest score down, of equal numbers of positives each."""
    positives = np.cumsum(rows.came_true[::-1])[::-1]
    return np.asarray((positives - 1).clip(0) * STEPS // int(positives[0]))


def _wins(rows: Ranked) -> Array:
    """Return how many pairs positives of one block (rows) win over negatives of another (columns)."""
    ties = _ties(rows)
    ends = np.concatenate([[0], np.cumsum(np.bincount(ties))])
    lower, upper = ends[ties[rows.came_true]], ends[ties[rows.came_true] + 1]
    blocks, wins, negative = rows.blocks[rows.came_true], np.zeros((rows.count, rows.count)), ~rows.came_true
    below = np.zeros(len(rows.scores) + 1, dtype=np.int32)
    for block in np.unique(rows.blocks):
        np.cumsum((rows.blocks == block) & negative, dtype=np.int32, out=below[1:])
        wins[:, block] = np.bincount(blocks, weights=(below[lower] + below[upper]) / 2, minlength=rows.count)
    return wins


def _precision_at_positives(rows: Ranked) -> float:
    """Return the average precision of the rows as they are."""
    ties = _ties(rows)
    starts = np.searchsorted(ties, np.arange(ties[-1] + 1))
    above = np.cumsum(rows.came_true[::-1])[::-1][starts]
    found = above - np.append(above[1:], 0)
    return float((found * above / (len(ties) - starts)).sum() / above[0])


def _probable(rows: Ranked, draws: Array) -> dict[str, Array]:
    """Return what scores are worth as probabilities: log loss, Brier score, expected calibration error."""
    count = draws @ rows.sums()
    tiny = np.finfo(float).eps
    chance = np.where(rows.came_true, rows.scores, 1 - rows.scores).clip(tiny, 1 - tiny)
    return {
        "log_loss": draws @ rows.sums(-np.log(chance)) / count,
        "brier": draws @ rows.sums((rows.scores - rows.came_true) ** 2) / count,
        "calibration_error": _calibration_error(rows, draws) / count,
    }


def _calibration_error(rows: Ranked, draws: Array) -> Array:
    """Return the distance of scores from what came true, over ten bins of equal size, in rows (Naeini et al., AAAI 2015)."""
    cells = bins_of(rows) * rows.count + rows.blocks
    distance = np.bincount(cells, weights=rows.scores - rows.came_true, minlength=CALIBRATION_BINS * rows.count)
    return np.asarray(np.abs(distance.reshape(CALIBRATION_BINS, rows.count) @ draws.T).sum(axis=0))


def _decided(rows: Ranked, draws: Array, decision: Decision) -> dict[str, Array]:
    """Return how often rows are decided as positive, of all and of either class, and what errors cost a row."""
    chosen = rows.scores >= decision.threshold
    count, true = draws @ rows.sums(), draws @ rows.sums(rows.came_true)
    hits = draws @ rows.sums(chosen & rows.came_true)
    false = draws @ rows.sums(chosen & ~rows.came_true)
    found = {
        "positive_rate": (hits + false) / count,
        "true_positive_rate": hits / true,
        "false_positive_rate": false / (count - true),
    }
    if decision.false_positive is None or decision.false_negative is None:
        return found
    return found | {"cost": (decision.false_positive * false + decision.false_negative * (true - hits)) / count}
