"""What each input adds to a model's raw score of each row: Shapley values, which sum up to it.

Sources: S. Lundberg, S.-I. Lee, A Unified Approach to Interpreting Model Predictions (NeurIPS 2017); for trees
S. Lundberg, G. Erion, S.-I. Lee, Consistent Individualized Feature Attribution for Tree Ensembles (2018), as LightGBM has it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.encode import encode
from headrace.models.predict import Predictor

PIECE = 20_000
"""How many rows are explained at once."""


@dataclass(frozen=True)
class Contributions:
    """Shapley values of some rows."""

    names: list[str]
    values: Any
    """Float64, rows x inputs, in the unit of the raw score: log-odds where the score is a probability."""
    base: float
    """The raw score without knowing any input: the mean over the rows that the model was trained on."""

    @property
    def raw(self) -> Any:
        """The raw score of each row: float64, one a row."""
        return self.values.sum(axis=1) + self.base


def contributions(rows: pa.Table, predictor: Predictor) -> Contributions:
    """Return the Shapley values of rows, in row order; raises DataError where a column is missing or of another kind."""
    encoded = encode(rows, predictor.inputs)
    pieces = [
        predictor.booster.predict(encoded.slice(at, PIECE), pred_contrib=True)
        for at in range(0, encoded.num_rows, PIECE)
    ]
    names = [column.name for column in predictor.inputs]
    if not pieces:
        return Contributions(names, np.empty((0, len(names))), 0.0)
    together = np.concatenate(pieces)
    return Contributions(names, together[:, :-1], float(together[0, -1]))
