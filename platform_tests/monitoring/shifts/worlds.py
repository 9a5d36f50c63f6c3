"""Worlds of rows whose columns depend on each other in a way that is known."""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.meta import Input
from headrace.monitoring.declaration import Drift
from headrace.monitoring.shifts.rows import Sample

LAST = date(2024, 6, 30)
FIRST = 19_000
"""The first day of the history, counted from 1970 on."""
INPUTS = [
    *(Input(name=f"x{n}", kind="numeric") for n in range(4)),
    Input(name="country", kind="categorical", categories=["DE", "FR", "PT"]),
]


def policy(**changes: Any) -> Drift:
    """Return a policy with both multivariate measures over windows of five days, but for the changes."""
    declared = {"window": "5d", "multivariate": {"domain_classifier": {}, "pca": {}}}
    return Drift.model_validate(declared | changes)


def rows(count: int, seed: int, correlation: float = 0.8) -> pa.Table:
    """Return rows of normal columns, two of them correlated, each with mean 0 and deviation 1 whatever the correlation."""
    chance = np.random.default_rng(seed)
    values = chance.normal(size=(count, 4))
    values[:, 1] = correlation * values[:, 0] + (1 - correlation**2) ** 0.5 * values[:, 1]
    numbers = {f"x{n}": values[:, n] for n in range(4)}
    return pa.table({**numbers, "country": chance.choice(["DE", "FR", "PT"], count)})


def history(days: int, seed: int, a_day: int = 100) -> Sample:
    """Return days of such rows."""
    return Sample(rows(days * a_day, seed), np.repeat(np.arange(days) + FIRST, a_day))
