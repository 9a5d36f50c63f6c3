"""Limits that data suggest: ranges that are rounded outwards, sets of few values, shares of missing ones."""

import math
from typing import Any

import polars as pl

from headrace.contracts.declaration import ColumnType

FEW = 20
"""Up to how many values are a set."""
SMALLEST = 1e-300
"""Below this nothing can be rounded any more."""
OFTEN = 10
"""How often each of them must come, on average, for others to be unlikely."""


def value_range(values: pl.Series, margin: float = 0.0) -> dict[str, float]:
    """Return the least and greatest value, with a margin (as a share of what lies between), rounded outwards.

    Nothing where there are no values, or where they lie so far apart that no limit says anything. What is never
    negative stays so.
    """
    least, most = values.min(), values.max()
    if least is None or most is None:
        return {}
    low, high = float(str(least)), float(str(most))
    span = high - low or abs(high) or 1.0
    if not math.isfinite(span * (1 + 2 * margin) + abs(low) + abs(high)):
        return {}
    if span < SMALLEST:
        return {"min": low, "max": high}
    step = 10.0 ** math.floor(math.log10(span)) / 10
    found = {"min": _down(low - margin * span, low, step), "max": -_down(-high - margin * span, -high, step)}
    if low >= 0:
        found["min"] = max(0.0, found["min"])
    return found


def value_set(values: pl.Series, kind: ColumnType) -> dict[str, list[Any]]:
    """Return the values of a column that has few of them and each often; nothing for other columns."""
    if kind not in ("string", "integer"):
        return {}
    distinct = values.drop_nulls().unique().sort().to_list()
    is_set = 0 < len(distinct) <= FEW and len(values.drop_nulls()) >= OFTEN * len(distinct)
    return {"one_of": distinct} if is_set else {}


def missing_share(worst: float) -> float:
    """Return the share of missing values that a day may have, by the worst day so far: twice as many, at least one in 100."""
    return min(1.0, max(0.01, math.ceil(200 * worst) / 100))


def _down(wanted: float, value: float, step: float) -> float:
    """Return `wanted` rounded down to whole steps, never above the value itself."""
    rounded = float(f"{math.floor(wanted / step) * step:.12g}")
    return rounded if math.isfinite(rounded) and rounded <= value else value
