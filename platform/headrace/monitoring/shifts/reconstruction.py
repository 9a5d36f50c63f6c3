"""How well what the training set has in common describes other rows: the error of reconstruction from principal components.

Source: NannyML's data reconstruction with PCA (N. Kuberski and others, nannyml.com, 2022), after S. Rabanser, S. Günnemann,
Z. Lipton, Failing Loudly (NeurIPS 2019), section 3.1. Numbers are standardized by the reference, what is missing is its mean,
and a category is the share that it has in the reference: no label is asked. The components that hold the declared share of
the variance are kept; the error of a row is the distance to its image. Rows in which columns depend on each other in
another way lie farther off, or nearer, also where each column alone is as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from headrace.models.blocks import Array
from headrace.models.encode import encode
from headrace.models.meta import Input

FARTHEST = 30.0
"""How many standard deviations a number may count: one broken value is not the error of a window."""


@dataclass(frozen=True)
class Components:
    """Principal components of rows, and what makes numbers of rows."""

    inputs: Sequence[Input]
    shares: dict[str, dict[float, float]]
    """Column of texts → code of a category → its share of the rows."""
    means: Array
    deviations: Array
    axes: Array
    """Columns x components."""

    def errors(self, rows: pa.Table) -> Array:
        """Return the squared distance of each row to its image in each column: rows x columns, in deviations of the reference."""
        numbers = self._standardized(_numbers(rows, self.inputs, self.shares))
        return np.asarray((numbers - numbers @ self.axes @ self.axes.T) ** 2)

    def _standardized(self, numbers: Array) -> Array:
        known = np.where(np.isfinite(numbers), numbers, self.means)
        return np.clip((known - self.means) / self.deviations, -FARTHEST, FARTHEST)


def components_of(rows: pa.Table, inputs: Sequence[Input], variance: float) -> Components:
    """Return the components of rows that hold a share of their variance, of all columns whose values differ.

    Raises DataError where the rows lack a column, or have it in another kind.
    """
    shares = {i.name: _shares(rows, i) for i in inputs if i.kind == "categorical"}
    numbers = _numbers(rows, inputs, shares)
    means, deviations = _of_finite(numbers, np.mean), _of_finite(numbers, np.std)
    plain = Components(inputs, shares, means, np.where(deviations > 0, deviations, np.inf), np.zeros((len(inputs), 0)))
    _, spreads, axes = np.linalg.svd(plain._standardized(numbers), full_matrices=False)
    held = np.cumsum(spreads**2) / max(float((spreads**2).sum()), 1e-300)
    kept = int(np.searchsorted(held, variance) + 1)
    return Components(inputs, shares, means, plain.deviations, axes[:kept].T)


def row_errors(squares: Array) -> Array:
    """Return the distance of each row to its image, from the squared distances in each column."""
    return np.asarray(np.sqrt(squares.sum(axis=1)))


def _of_finite(numbers: Array, what: Any) -> Array:
    """Return what a column's finite numbers give; 0 where it has none."""
    found = [what(column[np.isfinite(column)]) if np.isfinite(column).any() else 0.0 for column in numbers.T]
    return np.array(found)


def _shares(rows: pa.Table, column: Input) -> dict[float, float]:
    codes = pl.Series(encode(rows, [column])[column.name]).drop_nulls()
    counts = dict(codes.value_counts().iter_rows())
    return {code: count / max(len(codes), 1) for code, count in counts.items()}


def _numbers(rows: pa.Table, inputs: Sequence[Input], shares: dict[str, dict[float, float]]) -> Array:
    """Return rows x columns: numbers, and for texts the share of the category; what is missing or was never seen is NaN."""
    encoded = encode(rows, inputs)
    return np.stack([_column(encoded[i.name], shares.get(i.name)) for i in inputs], axis=1)


def _column(values: pa.ChunkedArray, shares: dict[float, float] | None) -> Array:
    series = pl.Series(values).cast(pl.Float64)
    if shares is not None:
        series = series.replace_strict(shares, default=None, return_dtype=pl.Float64) if shares else series * np.nan
    return np.asarray(series.to_numpy().astype(np.float64))
