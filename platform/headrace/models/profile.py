"""Profiles: what a column looks like, as counts over bins that are kept; profiles over the same bins add up.

Numbers are counted between quantiles of the reference (64 bins): equal-width bins miss shifts that quantiles show.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.encode import Input, encode

BINS = 64
Profile = dict[str, Any]
"""Column → {"edges": [...]} or {"categories": [...]}, with "counts" and "missing"."""


def profile_of(rows: pa.Table, inputs: Sequence[Input], against: Mapping[str, Any] | None = None) -> Profile:
    """Return the profile of the rows, over their own quantiles or over the bins of `against`."""
    encoded = encode(rows, inputs)
    return {i.name: _profile(encoded[i.name].to_numpy(), i, against and against[i.name]) for i in inputs}


def _profile(values: Any, column: Input, against: Mapping[str, Any] | None) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    missing = len(values) - len(present)
    if column.kind == "categorical":
        counts = np.bincount(present.astype(np.int64), minlength=len(column.categories))
        # A category that the model never saw is encoded as missing, and so counted as such.
        return {"categories": column.categories, "counts": counts.tolist(), "missing": int(missing)}
    edges = np.asarray(against["edges"]) if against else _edges(present)
    counts = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return {"edges": edges.tolist(), "counts": counts.tolist(), "missing": int(missing)}


def _edges(values: Any) -> Any:
    if not len(values):
        return np.array([])
    return np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="lower"))
