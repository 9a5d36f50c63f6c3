"""Limits of drift from the product's own history: how far a window of the training set lies from the rest of it.

Each window of days in a row is held against all other days, so that season, weekday and whatever else moves slowly is in
what is called usual. Each measure of each column is divided by what nine of ten of its windows stay below; of each window
the greatest of these ratios counts, over all columns, and the limit is the ratio that no more than the declared share of
windows exceeds: that of rank (1 - share) * (windows + 1), rounded up. So all columns together alarm falsely on no more than
that share of days, however they depend on each other: P. Westfall and S. Young, Resampling-Based Multiple Testing (1993);
the rank as in V. Vovk, A. Gammerman and G. Shafer, Algorithmic Learning in a Random World (2005). Control of any false alarm
at all is stricter than that of the share of false ones (Y. Benjamini and Y. Hochberg, 1995), which needs p values far below
what the ranks of a history can tell: one of 365 windows has 1/366, and one of twenty columns would need 1/600.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from math import ceil
from typing import Any, Generic, TypeVar

import numpy as np

from headrace.core.days import DAY, whole_days
from headrace.core.names import duration_text
from headrace.models.profile import Profile
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import MISSING, PSI, DayProfile, cells_of, grouped, groups_of, stability_index

Key = TypeVar("Key")
USUAL = 0.9
"""The share of windows that stay below what a measure is divided by."""
DECLARED = "the limits are those that are declared"
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
        return "" if self.is_enough else ", too few for that rate: the limit is the farthest that any of them lay"


def calibrate(history: Sequence[DayProfile], reference: Profile, policy: Drift) -> Calibrated:
    """Return the limit of each column and measure from the days of the training set; those that are declared for others.

    A column that never moved in the history keeps its declared limit. So do all where the history holds fewer than three windows.
    """
    span, share = whole_days(policy.window), policy.false_alarms.share
    days = sorted({part.day for part in history})
    if not days or (days[-1] - days[0]).days + 1 < LEAST_WINDOWS * span:
        return Calibrated(words=f"{DECLARED}: {len(days)} days of history are too few")
    moved = {
        (column, measure): values
        for column in reference
        for measure, values in _of_column(column, history, reference, days[0], span).items()
    }
    found = together(moved, share)
    if not found.limits:
        return Calibrated(words=f"{DECLARED}: nothing moved in the history")
    words = (
        f"limits calibrated on {found.windows} windows of {duration_text(policy.window)} of the training set, {days[0]} to {days[-1]}, "
        f"for {policy.false_alarms} of all columns together{found.note}"
    )
    return Calibrated(found.limits, words)


def together(moved: Mapping[Key, Any], share: float) -> Together[Key]:
    """Return the limit of each measure, so that all together alarm falsely on no more than that share of windows.

    `moved` holds how far each window of the history lies off, float64 each, the windows in the same order; a measure that is 0
    in nine of ten has no limit.
    """
    usual = {key: float(np.quantile(values, USUAL)) for key, values in moved.items()}
    known = [key for key in moved if usual[key] > 0]
    if not known:
        return Together({}, 0)
    greatest = np.sort(np.max([moved[key] / usual[key] for key in known], axis=0))
    rank = ceil((1 - share) * (len(greatest) + 1))
    ratio = float(greatest[min(rank, len(greatest)) - 1])
    return Together({key: ratio * usual[key] for key in known}, len(greatest), is_enough=rank <= len(greatest))


def _of_column(
    column: str, history: Sequence[DayProfile], reference: Profile, first: date, span: int
) -> dict[str, Any]:
    """Return how far each window lies from all other days, by both measures; windows that lack rows lie nowhere: 0."""
    own = [part for part in history if column in part.profile]
    if not own:
        return {}
    groups = groups_of(reference[column])
    width = len(grouped(cells_of(reference[column]), groups))
    days = np.zeros(((max(part.day for part in history) - first) // DAY + 1, width + 1))
    for part in own:
        counted = part.profile[column]
        days[(part.day - first) // DAY] += [*grouped(cells_of(counted), groups), counted["missing"]]
    sums = np.concatenate((np.zeros((1, width + 1)), days.cumsum(axis=0)))
    windows = sums[span:] - sums[:-span]
    others = days.sum(axis=0) - windows
    pairs = list(zip(others, windows, strict=True))
    return {
        PSI: np.array(
            [stability_index(rest[:-1], window[:-1]) if window[:-1].any() else 0.0 for rest, window in pairs]
        ),
        MISSING: np.array([max(_share(window) - _share(rest), 0.0) for rest, window in pairs]),
    }


def _share(cells: Any) -> float:
    return float(cells[-1] / cells.sum()) if cells.any() else 0.0
