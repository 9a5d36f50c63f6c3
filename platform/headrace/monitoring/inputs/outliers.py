"""How strange a row is against those that the model was trained on: an isolation forest.

Source: F. T. Liu, K. M. Ting, Z.-H. Zhou, Isolation Forest (ICDM 2008): what few random cuts tell from all others is
strange. The forest is grown anew from the training set each time, with a fixed seed: nothing is stored, nothing unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.blocks import Array
from headrace.models.encode import encode
from headrace.models.meta import Input

MOST_ROWS, TREES = 20_000, 100
RARE = 0.001
"""How rare a training row is that is as strange as an outlier."""


@dataclass(frozen=True)
class Forest:
    """A grown forest, and from which score on a row is an outlier."""

    trees: Any
    inputs: Sequence[Input]
    middles: Array
    """What stands for a missing value of each input: the median of training."""
    limit: float
    """The score that one training row in a thousand exceeds."""

    def scores(self, rows: pa.Table) -> Array:
        """Return how strange each row is, from 0 to 1, a float64 a row: a half is usual."""
        return np.asarray(-self.trees.score_samples(_filled(rows, self.inputs, self.middles)))


def grown(rows: pa.Table, inputs: Sequence[Input], seed: int = 0) -> Forest:
    """Return the forest of training rows, of 20,000 of them where there are more."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415  importing scikit-learn takes a second

    if rows.num_rows > MOST_ROWS:
        rows = rows.take(np.sort(np.random.default_rng(seed).choice(rows.num_rows, MOST_ROWS, replace=False)))
    values = _numbers(rows, inputs)
    middles = np.array(
        [np.median(column[np.isfinite(column)]) if np.isfinite(column).any() else 0.0 for column in values.T]
    )
    filled = _filled(rows, inputs, middles)
    trees = IsolationForest(n_estimators=TREES, random_state=seed).fit(filled)
    return Forest(trees, inputs, middles, float(np.quantile(-trees.score_samples(filled), 1 - RARE)))


def _numbers(rows: pa.Table, inputs: Sequence[Input]) -> Array:
    encoded = encode(rows, list(inputs))
    return np.stack([encoded[i.name].to_numpy().astype(np.float64) for i in inputs], axis=1)


def _filled(rows: pa.Table, inputs: Sequence[Input], middles: Array) -> Array:
    values = _numbers(rows, inputs)
    return np.where(np.isfinite(values), values, middles).clip(-1e30, 1e30)
