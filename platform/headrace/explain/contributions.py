"""What each input adds to a model's score of each row: Shapley values, which sum up to it.

Sources: S. Lundberg, S.-I. Lee, A Unified Approach to Interpreting Model Predictions (NeurIPS 2017); for trees
S. Lundberg, G. Erion, S.-I. Lee, Consistent Individualized Feature Attribution for Tree Ensembles (2018), as LightGBM has it.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import Refused
from headrace.models.encode import encode
from headrace.models.predict import Predictor
from headrace.models.trainer import Explained

PIECE = 20_000
"""How many rows are explained at once."""
BACKGROUND = 50
"""Against how many rows a model is asked that does not explain itself."""


@dataclass(frozen=True)
class Contributions:
    """Shapley values of some rows."""

    names: list[str]
    values: Any
    """Float64, rows x inputs, in the unit of the raw score: log-odds for a booster's probability."""
    base: float
    """The raw score without knowing any input: its mean over the rows of training, or over those that it is held against."""

    @property
    def raw(self) -> Any:
        """The raw score of each row: float64, one a row."""
        return self.values.sum(axis=1) + self.base


def contributions(rows: pa.Table, predictor: Predictor, background: pa.Table | None = None) -> Contributions:
    """Return the Shapley values of rows, in row order.

    A model that does not explain itself is asked again and again, each time with some inputs of `background` (by default
    of the rows themselves) in the place of a row's own. Raises DataError where a column is missing or of another kind,
    Refused where that takes the library `shap` and it is not installed.
    """
    encoded = encode(rows, predictor.inputs)
    names = [column.name for column in predictor.inputs]
    if not rows.num_rows:
        return Contributions(names, np.empty((0, len(names))), 0.0)
    model = predictor.fitted
    if not isinstance(model, Explained):
        return _asked(encoded, predictor, encoded if background is None else encode(background, predictor.inputs))
    pieces = [model.contributions(encoded.slice(at, PIECE)) for at in range(0, encoded.num_rows, PIECE)]
    together = np.concatenate(pieces)
    return Contributions(names, together[:, :-1], float(together[0, -1]))


def matrix_of(encoded: pa.Table) -> Any:
    """Return encoded rows as float64, rows x inputs, with NaN for what is missing."""
    return np.column_stack([column.to_numpy() for column in encoded.columns])


def _asked(encoded: pa.Table, predictor: Predictor, background: pa.Table) -> Contributions:
    """Return Shapley values by permutation of the inputs: exact for sums of single inputs and of pairs."""
    if find_spec("shap") is None:
        raise Refused(
            f"Models of trainer '{predictor.meta.trainer}' do not explain themselves: pip install 'headrace[explain]', "
            "and shap asks them."
        )
    import shap

    names = encoded.column_names

    def ask(matrix: Any) -> Any:
        columns = [pa.array(column, pa.float64(), from_pandas=True) for column in matrix.T]
        return predictor.fitted.predict(pa.table(columns, names))

    masker = shap.maskers.Independent(matrix_of(background), max_samples=BACKGROUND)
    explainer = shap.explainers.Permutation(ask, masker, seed=0)
    told = explainer(matrix_of(encoded), max_evals=2 * len(names) + 1, silent=True)
    return Contributions(names, told.values, float(told.base_values[0]))
