"""Columns cut into bins by rows of the training set: the words in which slices and movements are told.

Numbers lie between quantiles of the reference, texts in their categories; those with less than half a percent of its rows
are one. Two bins stand behind these: what is missing, and texts that the model has never seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from headrace.models.encode import encode
from headrace.models.meta import Input

QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Ends of the bins of numbers: finer at both ends, where what goes wrong lies, and one bin beyond all that was seen."""
RARE = 0.005
OTHERS = "(others)"


@dataclass(frozen=True)
class Column:
    """One column and its bins."""

    name: str
    edges: Any | None
    """Of numbers: the upper end of each bin but the last; None for texts."""
    categories: tuple[str, ...] = ()
    """Of texts: the category of each bin, the rare ones together last."""
    known: tuple[str, ...] = ()
    """Every category that the model knows."""

    @property
    def ordinary(self) -> int:
        """How many bins hold values that there are and that were seen before."""
        return len(self.categories) if self.edges is None else len(self.edges) + 1

    @property
    def missing(self) -> int:
        """The bin of what is missing."""
        return self.ordinary

    @property
    def unseen(self) -> int:
        """The bin of texts that were never seen."""
        return self.ordinary + 1

    @property
    def size(self) -> int:
        """The number of bins."""
        return self.ordinary + 2

    def words(self, first: int, last: int) -> str:
        """Return in words what the values from one bin to another are."""
        if first == self.missing:
            return f"{self.name} is missing"
        if first == self.unseen:
            return f"{self.name} was never seen"
        if self.edges is None:
            return f"{self.name} = {self.categories[first]}"
        if first > 0 and last < len(self.edges):
            return f"{figure(self.edges[first - 1])} < {self.name} ≤ {figure(self.edges[last])}"
        return (
            f"{self.name} ≤ {figure(self.edges[last])}"
            if first == 0
            else f"{self.name} > {figure(self.edges[first - 1])}"
        )


def columns_of(reference: pa.Table, inputs: Sequence[Input]) -> list[Column]:
    """Return each input with the bins that the reference gives it; inputs without a single value are left out."""
    found = [_column(reference, one) for one in inputs]
    return [column for column in found if column is not None]


def codes_of(rows: pa.Table, columns: Sequence[Column]) -> Any:
    """Return the bin in each column (first axis) of each row (second axis)."""
    return np.stack([_codes(rows, column) for column in columns]).astype(np.int64)


def figure(value: float) -> str:
    """Return a number as people write it."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def numbers(rows: pa.Table, name: str) -> Any:
    """Return a column as floats; what is missing is NaN."""
    return encode(rows, [Input(name=name, kind="numeric")])[name].to_numpy()


def _column(reference: pa.Table, one: Input) -> Column | None:
    if one.kind == "numeric":
        values = numbers(reference, one.name)
        present = values[~np.isnan(values)]
        if not len(present):
            return None
        return Column(one.name, np.unique(np.quantile(present, QUANTILES, method="lower")))
    counted = pl.Series(_texts(reference, one.name)).drop_nulls().value_counts()
    counts = dict(counted.iter_rows())
    often = sorted(text for text, count in counts.items() if count >= RARE * reference.num_rows)
    if not counts:
        return None
    return Column(one.name, None, (*often, OTHERS), tuple(one.categories))


def _codes(rows: pa.Table, column: Column) -> Any:
    if column.edges is not None:
        values = numbers(rows, column.name)
        return np.where(np.isnan(values), column.missing, np.searchsorted(column.edges, values, side="left"))
    texts = pl.Series(_texts(rows, column.name))
    others = dict.fromkeys(column.known, len(column.categories) - 1)
    places = others | {text: place for place, text in enumerate(column.categories[:-1])}
    codes = texts.replace_strict(places, default=column.unseen, return_dtype=pl.Int64)
    return codes.to_numpy() if not texts.null_count() else np.where(texts.is_null(), column.missing, codes.fill_null(0))


def _texts(rows: pa.Table, name: str) -> pa.ChunkedArray:
    return rows[name].cast(pa.string())
