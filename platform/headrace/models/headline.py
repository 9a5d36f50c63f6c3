"""The few numbers by which folds and baselines are put beside a candidate: how well scores came true, by task.

Gates and reports look at the whole evaluation; these are for a glance, and cost little on millions of rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.models.words import Task

NUMBERS: dict[Task, tuple[str, ...]] = {
    "classification": ("auc", "log_loss"),
    "regression": ("rmse", "mae"),
    "quantile": ("pinball",),
    "ranking": ("ndcg",),
}
"""The numbers of each task, the one that counts first; of AUC and NDCG more is better, of the others less."""
MORE_IS_BETTER = frozenset({"auc", "ndcg"})
LEAST = 1e-15
"""Probabilities nearer to 0 or 1 count as this near: a logarithm of 0 would be the whole mean."""


@dataclass(frozen=True)
class Headline:
    """How scores came true: numbers by name; none where `note` says why."""

    numbers: dict[str, float]
    note: str = ""

    def listed(self, task: Task) -> dict[str, float | str]:
        """Return all numbers of a task, an empty text for each that is not known."""
        return {name: self.numbers.get(name, "") for name in NUMBERS[task]} | {"note": self.note}


@dataclass(frozen=True)
class Asked:
    """What is known of the rows that are scored: what came true, which group each is in, which quantile was asked for."""

    answers: Any
    groups: Any | None = None
    """For a ranking: a number for the group of each row."""
    quantile: float | None = None


def headline(task: Task, asked: Asked, scores: Any) -> Headline:
    """Return how scores came true: AUC and log loss; RMSE and MAE; pinball loss; or NDCG, the mean of the groups that can be ranked."""
    if not len(scores):
        return Headline({}, "no rows")
    if not np.isfinite(scores).all():
        return Headline({}, "some scores are not numbers")
    if task == "classification":
        return _of_classes(asked.answers, scores)
    if task == "ranking":
        return _of_ranks(asked, scores)
    errors = asked.answers - scores
    if asked.quantile is not None:
        return Headline({"pinball": float(np.maximum(asked.quantile * errors, (asked.quantile - 1) * errors).mean())})
    return Headline({"rmse": float(np.sqrt((errors**2).mean())), "mae": float(np.abs(errors).mean())})


def is_better(metric: str, value: float, other: float) -> bool:
    """Return whether a value of a metric is better than another."""
    return value > other if metric in MORE_IS_BETTER else value < other


def _of_classes(answers: Any, scores: Any) -> Headline:
    positive = answers == 1
    if positive.all() or not positive.any():
        return Headline({}, "one class only: nothing can be ranked")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    ones = int(positive.sum())
    auc = (ranks[positive].sum() - ones * (ones + 1) / 2) / (ones * (len(scores) - ones))
    clipped = np.clip(scores, LEAST, 1 - LEAST)
    loss = -np.where(positive, np.log(clipped), np.log1p(-clipped)).mean()
    return Headline({"auc": float(auc), "log_loss": float(loss)})


def _of_ranks(asked: Asked, scores: Any) -> Headline:
    assert asked.groups is not None
    found = [_ndcg(asked.answers[rows], scores[rows]) for rows in _rows_of_groups(asked.groups)]
    known = [value for value in found if value is not None]
    return Headline({"ndcg": float(np.mean(known))}) if known else Headline({}, "no group has two grades")


def _rows_of_groups(groups: Any) -> list[Any]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _ndcg(grades: Any, scores: Any) -> float | None:
    """Return the discounted gain of an order against that of the best one (Jarvelin and Kekalainen, 2002); ties share their places."""
    if len(np.unique(grades)) < 2:
        return None
    discounts = 1 / np.log2(np.arange(len(grades)) + 2)
    gains = 2.0**grades - 1
    best = float((np.sort(gains)[::-1] * discounts).sum())
    _, places, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    mean_gain = np.bincount(places, gains) / counts
    ends = np.cumsum(counts)
    sums = np.concatenate([[0.0], np.cumsum(discounts)])
    return float((mean_gain * (sums[ends] - sums[ends - counts])).sum()) / best
