"""Whether the newest labels are like those before: a label that was turned around, mapped anew or lost moves their mean.

Days are compared, not rows: labels of one day share what happened that day, and a test that counts rows one by one calls
every busy week a fault.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
from scipy.special import stdtr, stdtrit

from headrace.features.declaration import Label

NEWEST, BEFORE = 7, 28
"""How many of the newest days with labels are held against how many before: whole weeks, for weekdays differ."""
LEAST_BEFORE = 14
CHANCE = 0.001
"""How rarely labels of days that are alike may be called moved."""


@dataclass(frozen=True)
class Moved:
    """How far the mean label of the newest days lies from that of the days before."""

    value: float
    """The difference of the means; of labels of two classes, of the shares of positives."""
    limit: float
    """How far it may lie, by how days differed before."""
    found: bool
    what: str


def moved_labels(rows: pa.Table, label: Label, timezone: str) -> Moved:
    """Return whether the mean label of the newest seven days is beyond what the 28 days before explain (Student's t).

    Fewer than 14 days before explain nothing, and then nothing is found.
    """
    time = pl.Series(values=rows[label.time].cast(pa.timestamp("us", "UTC"))).dt.convert_time_zone(timezone).dt.date()
    labels = pl.Series(values=rows[label.column].cast(pa.float64()))
    means = pl.DataFrame({"day": time, "label": labels}).group_by("day").mean().sort("day")["label"].to_numpy()
    newest, before = means[-NEWEST:], means[:-NEWEST][-BEFORE:]
    if len(before) < LEAST_BEFORE:
        return Moved(0.0, 0.0, False, f"{len(before)} days before the newest {NEWEST} are too few to tell by")
    degrees, error = len(before) - 1, before.std(ddof=1) * np.sqrt(1 / len(newest) + 1 / len(before))
    value, limit = float(newest.mean() - before.mean()), float(error * stdtrit(degrees, 1 - CHANCE / 2))
    found = bool(abs(value) > limit)
    means_said = f"the mean label of the newest {len(newest)} days is {newest.mean():.4f}, of the {len(before)} before {before.mean():.4f}"
    if not found:
        return Moved(value, limit, found, f"{means_said}: days explain up to {limit:.4f}")
    odds = (
        f"by chance once in {1 / max(2 * stdtr(degrees, -abs(value) / error), 1e-9):,.0f} such weeks"
        if error
        else "days never differed"
    )
    return Moved(value, limit, found, f"{means_said}: {value:+.4f}, and days explain up to {limit:.4f} ({odds})")
