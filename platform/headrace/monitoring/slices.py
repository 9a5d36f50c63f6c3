"""Slices of rows, in bins of columns, and what may happen to them: other values of a column, or another share of all rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from headrace.monitoring.bins import Column

Kind = Literal["values", "share"]


@dataclass(frozen=True, order=True)
class Condition:
    """Rows whose bin in a column lies from `first` to `last`."""

    column: int
    first: int
    last: int


@dataclass(frozen=True)
class Slice:
    """Rows that meet some conditions, of all days of the window or from one to another, counted from its first day."""

    conditions: tuple[Condition, ...] = ()
    days: tuple[int, int] | None = None

    def holds(self, codes: Any) -> Any:
        """Return for each row whether it meets the conditions, whatever its day."""
        met = np.ones(codes.shape[1], dtype=bool)
        for one in self.conditions:
            own = codes[one.column]
            met &= own == one.first if one.first == one.last else (own >= one.first) & (own <= one.last)
        return met

    def holds_then(self, codes: Any, days: Any) -> Any:
        """Return for each row whether it meets the conditions, and lies in the days."""
        met = self.holds(codes)
        return met if self.days is None else met & (days >= self.days[0]) & (days <= self.days[1])


@dataclass(frozen=True)
class Found:
    """What happened to a slice: to the values of a column in it, or to its share of the rows."""

    kind: Kind
    slice: Slice
    column: int
    """The column whose values moved; of a share that of the first condition."""
    nats: float
    """Evidence beyond the logarithm of the questions asked."""
    bin: int = -1
    """The one bin that tells most, or -1 where all do."""


@dataclass(frozen=True)
class Searched:
    """Rows before and after, as bins of columns; `days` says of each row after which day of the window it is of."""

    columns: Sequence[Column]
    before: Any
    after: Any
    days: Any
    least: float
    """The least population stability index within a slice that is worth a name."""
    closed: frozenset[int] = frozenset()
    """Columns that are explained already, and neither asked about nor sliced by."""

    @cached_property
    def starts(self) -> Any:
        """Where the bins of each column begin among the bins of all."""
        return np.concatenate([[0], np.cumsum([column.size for column in self.columns])])

    @cached_property
    def open(self) -> list[int]:
        """The columns that are asked about."""
        return [place for place in range(len(self.columns)) if place not in self.closed]

    @property
    def sizes(self) -> tuple[int, int]:
        """The number of rows before and after."""
        return self.before.shape[1], self.after.shape[1]

    @cached_property
    def length(self) -> int:
        """The number of days."""
        return int(self.days.max()) + 1 if len(self.days) else 0

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Every run of days that is not the whole window."""
        whole = (0, self.length - 1)
        return [(a, b) for a in range(self.length) for b in range(a, self.length) if (a, b) != whole]

    def without(self, found: Found) -> "Searched":
        """Return the rows as if what happened to a slice had not.

        Rows of a slice with other values are replaced by rows of the same slice before, taken evenly and in turn: all that
        is said of them is as it was. Of a slice with another share rows are left out evenly, on the side with more of
        them. Where all rows of all days moved, the column is closed instead.
        """
        if found.kind == "share":
            return self._thinned(found)
        if not found.slice.conditions and found.slice.days is None:
            return replace(self, closed=self.closed | {found.column})
        places = np.flatnonzero(found.slice.holds(self.before))
        then = np.flatnonzero(found.slice.holds_then(self.after, self.days))
        after = self.after.copy()
        after[:, then] = self.before[:, places[_evenly(len(places), len(then))]]
        return replace(self, after=after)

    def _thinned(self, found: Found) -> "Searched":
        first, last = found.slice.days or (0, self.length - 1)
        then = found.slice.holds_then(self.after, self.days)
        of_days = int(((self.days >= first) & (self.days <= last)).sum())
        inside = found.slice.holds(self.before)
        kept, rows = int(inside.sum()), len(inside)
        wanted = round((of_days - then.sum()) * kept / max(rows - kept, 1))
        if wanted < then.sum():
            stays = _thinned(then, wanted)
            return replace(self, after=self.after[:, stays], days=self.days[stays])
        wanted = round((rows - kept) * then.sum() / max(of_days - then.sum(), 1))
        return replace(self, before=self.before[:, _thinned(inside, min(wanted, kept))])


def _evenly(count: int, wanted: int) -> Any:
    """Return `wanted` places below `count`, evenly over them; some more than once where more are wanted than there are."""
    return (np.arange(wanted) * count // max(wanted, 1)).astype(np.int64)


def _thinned(inside: Any, wanted: int) -> Any:
    """Return for each row whether it stays, where of those inside only some are wanted."""
    places = np.flatnonzero(inside)
    stays = ~inside
    stays[places[_evenly(len(places), wanted)]] = True
    return stays
