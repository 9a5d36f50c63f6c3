"""Drift: how far the rows of the last days have moved from those that the live model was trained on.

Measured from profiles alone. The population stability index is sum((p - q) * ln(p / q)) over bins, p and q the shares
of the two samples (N. Siddiqi, Credit Risk Scorecards, 2006): below 0.1 little, above 0.25 much has changed.
Numbers are compared over ten bins of equal share in the reference, texts over their categories, those with less than
one percent of the reference, and those that it does not have, as one. So that an empty bin gives no infinity, each sample gets half a row a bin more,
spread as the two samples are on average: equal shares stay equal, however many rows the samples have.

Two samples of the same world differ by chance: their index is about chi-squared(bins - 1) * (1/n + 1/m)
(B. Yurdakul, Statistical Properties of the Population Stability Index, 2018). A limit below what chance reaches
once in a thousand windows is raised to that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np

from headrace.core.days import DAY, whole_days
from headrace.models.predict import SCORE
from headrace.models.profile import Profile
from headrace.monitoring.declaration import Drift

GROUPS = 10
RARE = 0.01
ONCE_IN_A_THOUSAND = 3.09
"""The normal deviate that chance exceeds with that probability."""
PSI, MISSING = "psi", "missing"
Limits = Mapping[tuple[str, str], float]
"""(Column, measure) → the greatest value that is no alarm."""


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
        return f"{name} of {self.column} is {self.value:.3f}, limit {self.limit:.3g}, over {self.rows:,} rows to {self.day}"


@dataclass(frozen=True)
class DayProfile:
    """What the rows of a day look like, or those that one model scored; profiles of the same day add up."""

    day: date
    profile: Profile
    model: str = ""
    """The model that scored the rows."""


def drift_by_day(
    profiles: Sequence[DayProfile],
    reference: Profile,
    policy: Drift,
    since: Mapping[str, date],
    limits: Limits = {},  # noqa: B006  nothing is ever written to it
) -> list[Moved]:
    """Return the drift of each column for each day that has rows of it and that a whole window ends on, oldest first.

    `since` says for each column from which day on there are rows of it. Part of a window would alarm on its weekdays:
    the first windows of a new product, feature or model are not measured. `limits` stand in place of those of the policy.
    """
    by_policy = {(c, PSI): policy.score_psi if c == SCORE else policy.psi for c in since}
    declared = {**by_policy, **{(c, MISSING): policy.missing for c in since}, **limits}
    found = [
        moved
        for column in since
        for moved in _of_column(column, profiles, reference[column], policy.window, declared)
        if since[column] <= window_start(moved.day, policy.window)
    ]
    return sorted(found, key=lambda moved: moved.day)


def psi(reference: Mapping[str, Any], current: Mapping[str, Any]) -> float:
    """Return the population stability index of two profiles of one column over the same bins."""
    groups = groups_of(reference)
    return stability_index(grouped(cells_of(reference), groups), grouped(cells_of(current), groups))


def cells_of(counted: Mapping[str, Any]) -> Any:
    """Return the counts of a column's bins; of texts also those of the other and of the new categories."""
    more = [counted.get("other", 0) + counted.get("new", 0)] if "categories" in counted else []
    return np.array([*counted["counts"], *more], dtype=np.int64)


def stability_index(expected: Any, actual: Any) -> float:
    """Return the population stability index of counts over the same bins."""
    samples = [np.asarray(counts, dtype=float) for counts in (actual, expected)]
    prior = sum(counts / max(counts.sum(), 1.0) for counts in samples) / 2
    p, q = (_smoothed(counts, prior)[prior > 0] for counts in samples)
    return float(np.sum((p - q) * np.log(p / q)))


def worst(moved: Sequence[Moved]) -> Moved | None:
    """Return the movement that is farthest beyond its limit, or nearest to it."""
    return max(moved, key=lambda m: m.value / m.limit, default=None)


def window_start(day: date, window: timedelta) -> date:
    """Return the first day of the window that ends on `day`."""
    return day - DAY * (whole_days(window) - 1)


def _of_column(
    column: str,
    profiles: Sequence[DayProfile],
    reference: Mapping[str, Any],
    window: timedelta,
    limits: Limits,
) -> Iterator[Moved]:
    own = [part for part in profiles if column in part.profile]
    if not own:
        return
    first = window_start(min(part.day for part in own), window)
    counts, missing = _trailing(column, own, first, whole_days(window))
    groups = groups_of(reference)
    expected = grouped(cells_of(reference), groups)
    for day in sorted({part.day for part in own}):
        at = (day - first).days
        actual, rows = grouped(counts[at], groups), int(counts[at].sum() + missing[at])
        if expected.sum() and actual.sum():
            limit = max(limits[column, PSI], by_chance(expected, actual))
            yield Moved(day, column, PSI, stability_index(expected, actual), limit, rows)
        rise, noise = missing_rise(int(missing[at]), rows, int(reference["missing"]), int(expected.sum()))
        yield Moved(day, column, MISSING, rise, max(limits[column, MISSING], noise), rows)


def _trailing(column: str, own: Sequence[DayProfile], first: date, window: int) -> tuple[Any, Any]:
    """Return the counts and the missing values of the window that ends on each day from `first` on."""
    days = (max(part.day for part in own) - first).days + 1
    table = np.zeros((days + 1, len(cells_of(own[0].profile[column])) + 1), dtype=np.int64)
    for part in own:
        table[(part.day - first).days + 1] += [*cells_of(part.profile[column]), part.profile[column]["missing"]]
    sums = table.cumsum(axis=0)
    starts = np.maximum(np.arange(1, days + 1) - window, 0)
    trailing = sums[1:] - sums[starts]
    return trailing[:, :-1], trailing[:, -1]


def groups_of(reference: Mapping[str, Any]) -> Any:
    """Return for each of a column's cells which group it belongs to."""
    counts = cells_of(reference).astype(float)
    total = counts.sum() or 1.0
    if "categories" in reference:
        rare = counts / total < RARE
        rare[-1] = True
        kept = np.cumsum(~rare)
        return np.where(rare, 0, kept) if rare.any() else kept - 1
    middle = (np.cumsum(counts) - counts / 2) / total
    _, groups = np.unique(np.floor(middle * GROUPS), return_inverse=True)
    return groups


def grouped(counts: Any, groups: Any) -> Any:
    """Return the counts of each group of bins."""
    return np.bincount(groups, counts, minlength=groups.max() + 1) if len(groups) else np.zeros(1)


def by_chance(expected: Any, actual: Any, deviate: float = ONCE_IN_A_THOUSAND) -> float:
    """Return the index that two samples of one world exceed by chance as often as a normal number exceeds `deviate`.

    The quantile of chi-squared is that of E. Wilson and M. Hilferty, The Distribution of Chi-square (1931).
    """
    free = max(len(expected) - 1, 1)
    spread = 2 / (9 * free)
    quantile = free * (1 - spread + deviate * spread**0.5) ** 3
    return float(quantile * (1 / expected.sum() + 1 / actual.sum()))


def missing_rise(
    missing: int, rows: int, missing_before: int, present_before: int, deviate: float = ONCE_IN_A_THOUSAND
) -> tuple[float, float]:
    """Return the rise of the share of missing values, and the rise that chance exceeds as often as a normal number `deviate`."""
    before = missing_before + present_before
    if not before or not rows:
        return 0.0, 0.0
    pooled = (missing + missing_before) / (rows + before)
    noise = deviate * (pooled * (1 - pooled) * (1 / rows + 1 / before)) ** 0.5
    return missing / rows - missing_before / before, float(noise)


def _smoothed(counts: Any, prior: Any) -> Any:
    """Return the shares of the bins, with half a row a bin more, spread like `prior`."""
    more = len(counts) / 2
    return (counts + more * prior) / (counts.sum() + more)
