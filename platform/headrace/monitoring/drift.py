"""Drift: how far the rows of the last days have moved from those that the live model was trained on.

Measured from profiles alone. The population stability index is sum((p - q) * ln(p / q)) over bins, p and q the shares
of the two samples (S. Siddiqi, Credit Risk Scorecards, 2006): below 0.1 little, above 0.25 much has changed.
Numbers are compared over ten bins of equal share in the reference, texts over their categories, those with less than
one percent of the reference as one. Half a row is added to each bin, so that an empty one gives no infinity.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from headrace.core.days import DAY, whole_days
from headrace.models.predict import SCORE
from headrace.models.profile import Profile, add_profiles
from headrace.monitoring.declaration import Drift

GROUPS = 10
RARE = 0.01
PSI, MISSING = "psi", "missing"


@dataclass(frozen=True)
class Moved:
    """One column on one day: how far the window that ends there lies from the reference."""

    day: date
    column: str
    measure: str
    value: float
    limit: float
    rows: int

    @property
    def alarms(self) -> bool:
        """Whether it has moved too far."""
        return self.value > self.limit

    def __str__(self) -> str:
        name = "PSI" if self.measure == PSI else "rise of missing values"
        return (
            f"{name} of {self.column} is {self.value:.3f}, limit {self.limit:g}, over {self.rows:,} rows to {self.day}"
        )


def drift_by_day(days: Mapping[date, Profile], reference: Profile, policy: Drift) -> list[Moved]:
    """Return the drift of every column for each day that a whole window ends on.

    Part of a window would alarm on its weekdays: the first windows of a new product are not measured.
    """
    back = whole_days(policy.window) - 1
    found = []
    for day in sorted(days):
        if min(days) > window_start(day, policy.window):
            continue
        window = [days[d] for d in (day - DAY * i for i in range(back, -1, -1)) if d in days]
        found += list(_moved(day, add_profiles(_shared(window)), reference, policy))
    return found


def psi(reference: Mapping[str, Any], current: Mapping[str, Any]) -> float:
    """Return the population stability index of two profiles of one column over the same bins."""
    groups = _groups(reference)
    expected, actual = (
        _shares(np.bincount(groups, p["counts"], minlength=groups.max() + 1)) for p in (reference, current)
    )
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def missing_share(profile: Mapping[str, Any]) -> float:
    """Return the share of missing values; 0 where there are no rows."""
    rows = rows_of(profile)
    return float(profile["missing"]) / rows if rows else 0.0


def rows_of(profile: Mapping[str, Any]) -> int:
    """Return how many rows a column's profile counts."""
    return int(sum(profile["counts"]) + profile["missing"])


def worst(moved: Sequence[Moved], columns: Sequence[str] | None = None) -> Moved | None:
    """Return the movement that is farthest beyond its limit, among some columns if given."""
    among = [m for m in moved if columns is None or m.column in columns]
    return max(among, key=lambda m: m.value / m.limit, default=None)


def _moved(day: date, current: Profile, reference: Profile, policy: Drift) -> Iterator[Moved]:
    for column, profile in current.items():
        rows = rows_of(profile)
        if not rows:
            continue
        limit = policy.score_psi if column == SCORE else policy.psi
        if sum(profile["counts"]) and sum(reference[column]["counts"]):
            yield Moved(day, column, PSI, psi(reference[column], profile), limit, rows)
        rise = missing_share(profile) - missing_share(reference[column])
        yield Moved(day, column, MISSING, rise, policy.missing, rows)


def _shared(window: list[Profile]) -> list[Profile]:
    """Return the profiles cut to the columns that all of them have: scores of another model are not compared."""
    common = set.intersection(*(set(profile) for profile in window[-1:]))
    return [{c: p[c] for c in window[-1] if c in p and c in common} for p in window if common <= set(p)]


def _groups(reference: Mapping[str, Any]) -> Any:
    """Return for each bin which group it belongs to."""
    counts = np.asarray(reference["counts"], dtype=float)
    total = counts.sum() or 1.0
    if "categories" in reference:
        rare = counts / total < RARE
        kept = np.cumsum(~rare)
        return np.where(rare, 0, kept) if rare.any() else kept - 1
    middle = (np.cumsum(counts) - counts / 2) / total
    _, groups = np.unique(np.floor(middle * GROUPS), return_inverse=True)
    return groups


def _shares(counts: Any) -> Any:
    smoothed = counts + 0.5
    return smoothed / smoothed.sum()


def window_start(day: date, window: timedelta) -> date:
    """Return the first day of the window that ends on `day`."""
    return day - DAY * (whole_days(window) - 1)
