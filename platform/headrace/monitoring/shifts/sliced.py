"""Drift of each column within each slice: against the same slice of the training set, in the bins of all of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from headrace.models.blocks import Array
from headrace.models.encode import encode
from headrace.models.meta import Input
from headrace.models.profile import Profile
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import MISSING, PSI, groups_of
from headrace.monitoring.shifts.counts import Counts, Part, calibrated, measured
from headrace.monitoring.shifts.rows import Sample
from headrace.monitoring.shifts.shift import Shift
from headrace.monitoring.shifts.together import Asked

MOST_SLICES = 50
"""How many values of a column are looked at: those with most rows in the window."""


@dataclass(frozen=True)
class Sliced:
    """Drift within slices, and in words where the limits come from."""

    shifts: Sequence[Shift]
    words: str


def shifts_of_slices(history: Sample, window: Sample, day: date, asked: Asked, reference: Profile) -> Sliced:
    """Return the drift of each input within each slice that has `least_rows` in the history and in the window that ends on a day."""
    policy = asked.policy
    parts = dict(_parts(history, window, asked.inputs, reference, policy))
    declared = {PSI: policy.psi, MISSING: policy.missing}
    limits, words = calibrated(parts, policy, declared)
    found = [
        Shift(day, "slices", one.measure, one.value, one.limit, one.rows, column=column, by=by, part=part)
        for one in measured(parts, limits, declared)
        for column, by, part in [one.part]
    ]
    return Sliced(found, words)


def codes_of(rows: pa.Table, column: Input, bins: Mapping[str, Any]) -> Array:
    """Return the group of bins that each row's value lies in; what is missing has the number behind the last."""
    groups, missing = groups_of(bins), _groups(bins)
    if column.kind == "numeric":
        values = encode(rows, [column])[column.name].to_numpy().astype(np.float64)
        cells = np.searchsorted(np.asarray(bins["edges"]), values, side="left")
        return np.where(np.isnan(values), missing, groups[np.minimum(cells, len(groups) - 1)])
    texts = pl.Series(rows[column.name].cast(pa.string()))
    places = {text: int(groups[place]) for place, text in enumerate(bins["categories"])}
    found = texts.replace_strict(places, default=int(groups[-1]), return_dtype=pl.Int64)
    return np.where(texts.is_null().to_numpy(), missing, found.fill_null(0).to_numpy())


def by_day(codes: Array, days: Array, shape: tuple[int, int]) -> Array:
    """Return how many rows of each day, counted from 0, have each code: days x codes."""
    return np.asarray(np.bincount(days * shape[1] + codes, minlength=shape[0] * shape[1]).reshape(shape))


def _parts(
    history: Sample, window: Sample, inputs: Sequence[Input], reference: Profile, policy: Drift
) -> Iterator[tuple[Part, Counts]]:
    """Yield the counts of each column of each slice."""
    codes = {i.name: [codes_of(sample.rows, i, reference[i.name]) for sample in (history, window)] for i in inputs}
    days = history.days - history.days.min() if len(history.days) else history.days
    length = int(days.max(initial=0)) + 1
    for by in policy.by:
        then, now = (_texts(sample.rows, by) for sample in (history, window))
        for value in _large(then, now, policy.least_rows):
            before, after = (np.flatnonzero(values == value) for values in (then, now))
            for column in inputs:
                if column.name != by:
                    size, (was, is_now) = _groups(reference[column.name]) + 1, codes[column.name]
                    of_days = by_day(was[before], days[before], (length, size))
                    yield (column.name, by, value), Counts(of_days, np.bincount(is_now[after], minlength=size))


def _groups(bins: Mapping[str, Any]) -> int:
    return int(groups_of(bins).max(initial=0)) + 1


def _texts(rows: pa.Table, name: str) -> Array:
    return pl.Series(rows[name].cast(pa.string())).fill_null("(missing)").to_numpy()


def _large(then: Array, now: Array, least: int) -> list[str]:
    """Return the values that have enough rows on both sides, those with most rows now first."""
    (values, rows), (before, counts) = (np.unique(side, return_counts=True) for side in (now, then))
    known = dict(zip(before.tolist(), counts.tolist(), strict=True))
    order = np.argsort(-rows, kind="stable")
    large = [str(values[n]) for n in order if rows[n] >= least and known.get(values[n], 0) >= least]
    return large[:MOST_SLICES]
