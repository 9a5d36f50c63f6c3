"""Limits over many columns of many slices at once, from counts: as those of columns alone, but for all of these together.

With `threshold: calibrated` they come from windows of the history, as in `headrace.monitoring.calibrate`. Where they are declared,
none is below what chance reaches: each of m tests gets the mth part of once in a thousand windows (C. Bonferroni, 1936), so that
chance brings all of them together beyond that no more often.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scipy.special import ndtri

from headrace.core.days import whole_days
from headrace.core.names import duration_text
from headrace.models.blocks import Array
from headrace.monitoring.calibrate import DECLARED, LEAST_WINDOWS, together, windows_moved
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import MISSING, PSI, by_chance, missing_rise, stability_index

ONCE = 0.001
"""How often chance may bring any of the tests beyond its limit."""
Part = tuple[str, str, str]
"""Column, and the slice: the column that it is a slice by, and its value."""
Key = tuple[str, str, str, str]
"""A part, and the measure."""


@dataclass(frozen=True)
class Counts:
    """Rows of one column in one slice, by group of its bins; what is missing is counted last."""

    history: Array
    """Days of the history x (groups + 1)."""
    window: Array
    """Groups + 1."""


@dataclass(frozen=True)
class Measured:
    """How far one column of one slice has moved, by one measure."""

    part: Part
    measure: str
    value: float
    limit: float
    rows: int


def measured(
    parts: Mapping[Part, Counts], limits: Mapping[Key, float], declared: Mapping[str, float]
) -> Iterator[Measured]:
    """Yield how far each column of each slice has moved; `declared` holds the limit of each measure that has no other."""
    deviate = float(-ndtri(ONCE / max(len(parts) * len(declared), 1)))
    for part, counts in parts.items():
        before, now = counts.history.sum(axis=0), counts.window
        rows = int(now.sum())
        for measure, least in declared.items():
            limit = limits.get((*part, measure), least)
            if measure == PSI and before[:-1].any() and now[:-1].any():
                chance = by_chance(before[:-1], now[:-1], deviate)
                yield Measured(part, PSI, stability_index(before[:-1], now[:-1]), max(limit, chance), rows)
            elif measure == MISSING:
                rise, noise = missing_rise(int(now[-1]), rows, int(before[-1]), int(before[:-1].sum()), deviate)
                yield Measured(part, MISSING, rise, max(limit, noise), rows)


def calibrated(
    parts: Mapping[Part, Counts], policy: Drift, measures: Mapping[str, float]
) -> tuple[dict[Key, float], str]:
    """Return the limits from windows of the history, for all columns of all slices together, and in words where they come from."""
    span = whole_days(policy.window)
    days = min((len(counts.history) for counts in parts.values()), default=0)
    if policy.threshold == "declared" or days < LEAST_WINDOWS * span:
        few = f": {days} days of history are too few" if parts and policy.threshold == "calibrated" else ""
        return {}, DECLARED + few
    moved = {
        (*part, measure): values
        for part, counts in parts.items()
        for measure, values in windows_moved(counts.history, span).items()
        if measure in measures
    }
    least = {key: measures[key[-1]] for key in moved}
    found = together(moved, policy.false_alarms.share, days // span, least)
    words = (
        f"limits calibrated on {found.windows} windows of {duration_text(policy.window)} of the training set, for "
        f"{policy.false_alarms} of {len(parts)} columns of slices together{found.note}"
    )
    return dict(found.limits), words
