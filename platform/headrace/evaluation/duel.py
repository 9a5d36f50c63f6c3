"""Candidate and champion on the same rows: the difference of their metrics, and what chance may have added to it.

Both are drawn in the same samples, so that what made the days easy or hard for both takes no part in the difference.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from headrace.evaluation.evaluate import Evaluation, Measuring, Sampled, Sampling, evaluation_of
from headrace.models.blocks import interval
from headrace.store.digest import rows_digest

POWER = 0.8


class Difference(BaseModel):
    """How far the candidate's metric lies above the champion's on the same rows."""

    value: float
    low: float
    high: float
    """Where it lies with the declared confidence, had other days come."""
    detectable: float
    """The least difference that such rows tell from none, four times of five."""
    blocks: int = 0
    """How many blocks of rows (local days) it is of."""


Differences = dict[str, Difference]


class Duel(BaseModel):
    """Candidate and champion on the same rows, which neither has trained on."""

    candidate: Evaluation
    champion: Evaluation
    differences: Differences = {}
    """Metric → the candidate's less the champion's, on all rows."""
    by_slice: dict[str, dict[str, Differences]] = {}
    """Column → value → metric → difference."""
    rows: str = ""
    """A digest of the rows: their names, times and labels."""


def compare(rows: pa.Table, ours: Sampling, theirs: Sampling, measuring: Measuring) -> Duel:
    """Return how two models' metrics of the same rows differ, with intervals over the same samples of days."""
    by_slice: dict[str, dict[str, Differences]] = {}
    for (column, value), part in ours.parts.items():
        found = _differences(part, theirs.parts[column, value], measuring.confidence)
        by_slice.setdefault(column, {})[value] = found
    return Duel(
        candidate=evaluation_of(rows, ours, measuring),
        champion=evaluation_of(rows, theirs, measuring),
        differences=by_slice.pop("")[""],
        by_slice=by_slice,
        rows=rows_digest(rows.select([measuring.label.entity, measuring.label.time, measuring.label.column])),
    )


def differences(ours: Sampling, theirs: Sampling, confidence: float) -> Differences:
    """Return how two models' metrics of the same rows differ, on all of them, with intervals over the same samples of days."""
    return _differences(ours.overall, theirs.overall, confidence)


def _differences(candidate: Sampled, champion: Sampled, confidence: float) -> Differences:
    found, blocks = {}, candidate.blocks
    for name in candidate.values.keys() & champion.values.keys():
        values = candidate.values[name] - champion.values[name]
        bounds = interval(values, blocks, confidence) if len(values) > 1 else None
        if bounds:
            low, high = bounds
            told = _detectable(values[1:], blocks, confidence)
            found[name] = Difference(value=float(values[0]), low=low, high=high, detectable=told, blocks=blocks)
    return dict(sorted(found.items()))


def _detectable(samples: Any, blocks: int, confidence: float) -> float:
    from scipy.special import stdtrit

    error = float(np.nanstd(samples)) * float(np.sqrt(blocks / (blocks - 1)))
    return error * float(stdtrit(blocks - 1, (1 + confidence) / 2) + stdtrit(blocks - 1, POWER))
