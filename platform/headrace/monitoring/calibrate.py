"""Limits of drift from the product's own history: how far a window of the training set lies from the rest of it.

Each window of days in a row is held against all other days but its neighbours, so that season, weekday and whatever else
moves slowly is in what is called usual: days to come are no neighbours of the training set either, and what wanders for weeks
makes a window look like the days beside it. Each measure of each column is divided by what nine of ten of its windows stay
below; of each window the greatest of these ratios counts, over all columns, and the limit is the ratio that no more than the
declared share of windows exceeds: that of rank (1 - share) * (n + 1) of n, rounded up. As windows share days, n is how many lie
beside each other. So all columns together alarm falsely on no more than that share of days, however they depend on each other:
P. Westfall and S. Young, Resampling-Based Multiple Testing (1993); the rank as in V. Vovk, A. Gammerman and G. Shafer,
Algorithmic Learning in a Random World (2005). Control of any false alarm at all is stricter than that of the share of false
ones (Y. Benjamini and Y. Hochberg, 1995), which needs p values far below what the ranks of a history can tell: one of 52 weeks
has 1/53, and one of twenty columns would need 1/600. Where n is too small for the share, no limit is below the declared one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Generic, TypeVar

import numpy as np

from headrace.core.days import DAY, Days, whole_days
from headrace.core.names import duration_text
from headrace.models.blocks import Array
from headrace.models.profile import Profile
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import MISSING, PSI, DayProfile, cells_of, grouped, groups_of, stability_index

Key = TypeVar("Key")
USUAL = 0.9
"""The share of windows that stay below what a measure is divided by."""
DECLARED = "the limits are those that are declared"
NEIGHBOURS = 3
"""How many windows' lengths on each side of a window are not held against it."""
LEAST_WINDOWS = 3
"""How many windows must lie beside each other, without a day in common, for a history to tell anything."""


@dataclass(frozen=True)
class Calibrated:
    """Limits of some columns, by column and measure, and in words where they come from."""

    limits: Mapping[tuple[str, str], float] = field(default_factory=dict)
    words: str = DECLARED


@dataclass(frozen=True)
class Together(Generic[Key]):
    """Limits of measures that are watched together, and how many windows they come from."""

    limits: Mapping[Key, float]
    windows: int
    is_enough: bool = True
    """Whether there are enough windows for the rate."""

    @property
    def note(self) -> str:
        """What must be said where there are not."""
        few = ", too few for that rate: each limit is the farthest that any of them lay, and at least the declared one"
        return "" if self.is_enough else few


def calibrate(history: Sequence[DayProfile], reference: Profile, policy: Drift) -> Calibrated:
    """Return the limit of each column and measure from the days of the training set; those that are declared for others.

    A column that never moved in the history keeps its declared limit. So do all where the history holds fewer than three windows.
    """
    span = whole_days(policy.window)
    days = sorted({part.day for part in history})
    if not days or len(Days(days[0], days[-1])) < LEAST_WINDOWS * span:
        return Calibrated(words=f"{DECLARED}: {len(days)} days of history are too few")
    whole = Days(days[0], days[-1])
    moved = {
        (column, measure): values
        for column in reference
        for measure, values in _of_column(column, history, reference, whole, span).items()
    }
    least = {key: policy.psi if key[1] == PSI else policy.missing for key in moved}
    found = together(moved, policy.false_alarms.share, len(whole) // span, least)
    if not found.limits:
        return Calibrated(words=f"{DECLARED}: nothing moved in the history")
    words = (
        f"limits calibrated on {found.windows} windows of {duration_text(policy.window)} of the training set, {whole.first} to {whole.last}, "
        f"for {policy.false_alarms} of all columns together{found.note}"
    )
    return Calibrated(found.limits, words)


def together(moved: Mapping[Key, Any], share: float, apart: int, least: Mapping[Key, float]) -> Together[Key]:
    """Return the limit of each measure, so that all together alarm falsely on no more than that share of windows.

    `moved` holds how far each window of the history lies off, float64 each, the windows in the same order, of which `apart` have
    no day in common; a measure that is 0 in nine of ten has no limit. Where these are too few no limit is below that of `least`.
    """
    usual = {key: float(np.quantile(values, USUAL)) for key, values in moved.items()}
    known = [key for key in moved if usual[key] > 0]
    if not known:
        return Together({}, 0)
    greatest = np.sort(np.max([moved[key] / usual[key] for key in known], axis=0))
    level = (1 - share) * (apart + 1) / apart
    ratio = float(greatest[min(ceil(level * len(greatest)), len(greatest)) - 1])
    limits = {key: ratio * usual[key] for key in known}
    is_enough = level <= 1
    return Together(
        limits if is_enough else {key: max(limits[key], least[key]) for key in known}, len(greatest), is_enough
    )


def neighbours(days: int, span: int) -> int:
    """Return how many days on each side of a window are not held against it: of all others half remain at least."""
    return min(NEIGHBOURS * span, (days - span) // 4)


def windows_moved(days: Array, span: int) -> dict[str, Array]:
    """Return how far each window of days in a row lies from those that are no neighbours of it, by both measures.

    `days` is (days x groups + 1): the rows in each group of bins, and those that are missing. Where one side has no rows: 0.
    """
    near, starts = neighbours(len(days), span), np.arange(len(days) - span + 1)
    sums = np.concatenate((np.zeros((1, days.shape[1])), days.cumsum(axis=0)))
    windows = sums[span:] - sums[:-span]
    others = sums[-1] - sums[np.minimum(starts + span + near, len(days))] + sums[np.maximum(starts - near, 0)]
    filled = (windows[:, :-1].sum(axis=1) > 0) & (others[:, :-1].sum(axis=1) > 0)
    pairs = zip(others, windows, filled, strict=True)
    return {
        PSI: np.array([stability_index(rest[:-1], now[:-1]) if full else 0.0 for rest, now, full in pairs]),
        MISSING: np.maximum(_shares(windows) - _shares(others), 0.0),
    }


def _of_column(
    column: str, history: Sequence[DayProfile], reference: Profile, whole: Days, span: int
) -> dict[str, Array]:
    own = [part for part in history if column in part.profile]
    if not own:
        return {}
    groups = groups_of(reference[column])
    width = len(grouped(cells_of(reference[column]), groups))
    days = np.zeros((len(whole), width + 1))
    for part in own:
        counted = part.profile[column]
        days[(part.day - whole.first) // DAY] += [*grouped(cells_of(counted), groups), counted["missing"]]
    return windows_moved(days, span)


def _shares(counts: Array) -> Array:
    return np.asarray(counts[:, -1] / np.maximum(counts.sum(axis=1), 1))
