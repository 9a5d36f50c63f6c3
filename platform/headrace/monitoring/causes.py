"""The causes of drift between two sets of rows: what moved least by chance is explained, set aside, and the rest asked again.

How much of a column's movement goes with a slice is the part of its index that is gone with the slice's rows: the
explanatory power of R. Bhagwan et al., Adtributor: Revenue Debugging in Advertising Systems (2014). Columns that moved in
the same slice are one cause; so are columns that moved in all rows and are made of the same source.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.days import DAY
from headrace.models.meta import Input
from headrace.monitoring.bins import Column, codes_of, columns_of
from headrace.monitoring.cause import BinMoved, Cause, Kind, percent
from headrace.monitoring.evidence import contributions, distance
from headrace.monitoring.search import moved_with, strongest
from headrace.monitoring.slices import Found, Searched
from headrace.monitoring.told import bins_moved, told

MOST_CAUSES = 6
ROUNDS = 10
"""How often the rest is asked again at the most."""
LEAST_INDEX = 0.002
"""Below this an index over all rows is too small to say which part of it a slice carries."""


@dataclass(frozen=True)
class Compared:
    """Rows of the training set and of a window, with what is known of their columns."""

    before: pa.Table
    after: pa.Table
    days: Any
    """Of each row after: which day of the window it is of, from 0."""
    first: date
    """The first day of the window."""
    inputs: Sequence[Input]
    limit: float
    """The index beyond which a slice is said to have moved."""
    importance: Mapping[str, float] = field(default_factory=dict)
    """Column → its part of the live model's importance; none means all alike."""
    origins: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Column → the `<source>.<column>` that it is made of, as far as that is known."""
    earlier: pa.Table | None = None
    """Rows of the days before the window, in which it may have begun."""
    days_before: Any = None
    """Of each earlier row: how many days before the window, from 1."""


@dataclass(frozen=True)
class Named:
    """A cause, and the slice of bins that it was found in."""

    cause: Cause
    found: Found


@dataclass(frozen=True)
class Explained:
    """The causes, greatest weight first, and the bins in which they were found."""

    named: list[Named]
    columns: list[Column]

    @property
    def causes(self) -> list[Cause]:
        """The causes alone."""
        return [one.cause for one in self.named]


def explained(compared: Compared) -> Explained:
    """Return what has moved between two sets of rows, and in which of them; nothing where chance moves as much.

    Asks for slices of 50 rows or more on both sides that moved beyond `limit`, or have half as many rows again (or less).
    """
    columns = columns_of(compared.before, compared.inputs)
    whole = Searched(
        columns,
        codes_of(compared.before, columns),
        codes_of(compared.after, columns),
        np.asarray(compared.days),
        compared.limit,
    )
    view = _View(compared, whole)
    named = [Named(view.cause(step), step.found) for step in _steps(compared, whole)]
    named.sort(key=lambda one: -one.cause.weight)
    return Explained(named[:MOST_CAUSES], columns)


@dataclass(frozen=True)
class _Step:
    """One thing that was found, with the columns that it explains, and their indices before and after it was set aside."""

    found: Found
    columns: list[int]
    carries: float | None


def _steps(compared: Compared, whole: Searched) -> Iterator[_Step]:
    """Yield what is found, each in what the ones before it leave."""
    rows, first = whole, _indices(whole)
    for _ in range(ROUNDS):
        found = strongest(rows)
        if found is None:
            return
        members = _members(compared, rows, found)
        rest = rows.without(found)
        rest = replace(rest, closed=rest.closed | set(members)) if rest.closed != rows.closed else rest
        was, now = _indices(rows), _indices(rest)
        drop = {place: was[place] - (0.0 if place in rest.closed else now[place]) for place in rows.open}
        main = found.column
        carries = min(max(drop[main] / first[main], 0.0), 1.0) if first[main] >= LEAST_INDEX else None
        if found.kind == "share":
            follow = [
                p for p in rows.open if first[p] >= compared.limit and drop[p] >= first[p] / 2 and p not in members
            ]
            members = [*members, *follow]
        yield _Step(found, members, carries)
        rows = rest


def _members(compared: Compared, rows: Searched, found: Found) -> list[int]:
    """Return the columns that a thing that was found explains, the one that told of it first."""
    if found.kind == "share":
        return list(dict.fromkeys([found.column, *(one.column for one in found.slice.conditions)]))
    others = [place for place in moved_with(rows, found) if place != found.column]
    if not found.slice.conditions and found.slice.days is None:
        own = _sources(compared, rows.columns[found.column].name)
        others = [place for place in others if own & _sources(compared, rows.columns[place].name)]
    return [found.column, *others]


def _sources(compared: Compared, column: str) -> frozenset[str]:
    return frozenset(name.rpartition(".")[0] for name in compared.origins.get(column, ()))


def _indices(rows: Searched) -> list[float]:
    """Return the index of each column over all rows, less what chance adds."""
    return [
        float(
            distance(
                np.bincount(rows.before[place], minlength=column.size),
                np.bincount(rows.after[place], minlength=column.size),
            )
        )
        for place, column in enumerate(rows.columns)
    ]


@dataclass(frozen=True)
class _Part:
    """What was found, and which rows it is about: for each row before and after whether it is one of them."""

    found: Found
    inside: Any
    then: Any
    shares: tuple[float, float]
    """Their share before, and after of the rows of the same days."""


@dataclass(frozen=True)
class _View:
    """All rows, for what is said of a cause: whatever was set aside before it, these are its own."""

    compared: Compared
    rows: Searched

    def cause(self, step: _Step) -> Cause:
        """Return what is said of one thing that was found."""
        part = self._part(step.found)
        names = [self.rows.columns[place].name for place in step.columns]
        weights = self._importance(names)
        indices = [self._index(part, place) for place in step.columns]
        of_rows = 1.0 if step.found.kind == "share" else float(part.then.mean())
        kind, what, bins = self._told(part)
        since, until, is_older = self._span(part)
        return Cause(
            kind=kind,
            columns=names,
            slice=[self.rows.columns[one.column].words(one.first, one.last) for one in step.found.slice.conditions],
            rows=part.shares[1],
            rows_before=part.shares[0],
            what=what,
            since=since,
            until=until,
            is_older=is_older,
            carries=step.carries,
            bins=bins,
            psi=indices[0],
            importance=min(sum(weights), 1.0),
            weight=of_rows * sum(index * weight for index, weight in zip(indices, weights, strict=True)),
        )

    def _part(self, found: Found) -> _Part:
        inside, then = found.slice.holds(self.rows.before), found.slice.holds_then(self.rows.after, self.rows.days)
        first, last = found.slice.days or (0, self.rows.length - 1)
        of_days = (self.rows.days >= first) & (self.rows.days <= last)
        return _Part(found, inside, then, (float(inside.mean()), float(then.sum() / max(of_days.sum(), 1))))

    def _importance(self, names: Sequence[str]) -> list[float]:
        if not self.compared.importance:
            return [1 / len(self.rows.columns)] * len(names)
        return [self.compared.importance.get(name, 0.0) for name in names]

    def _counts(self, part: _Part, place: int) -> tuple[Any, Any]:
        size = self.rows.columns[place].size
        sides = ((self.rows.before, part.inside), (self.rows.after, part.then))
        before, after = (np.bincount(codes[place, held], minlength=size) for codes, held in sides)
        return before, after

    def _index(self, part: _Part, place: int) -> float:
        """Return how far a column has moved in the slice; of a share, how far being in it or not has."""
        if part.found.kind == "values":
            return float(distance(*self._counts(part, place)))
        before, after = (np.array([share, 1 - share]) for share in part.shares)
        return float(contributions(before * len(part.inside), after * len(part.then)).sum())

    def _told(self, part: _Part) -> tuple[Kind, str, list[BinMoved]]:
        column = self.rows.columns[part.found.column]
        if part.found.kind == "share":
            before, after = part.shares
            often = f"are {after / before:.2g} times as many" if before else "are new"
            return "share", f"{often}: {percent(before)} → {percent(after)} of rows", []
        counts = self._counts(part, part.found.column)
        rows = self.compared.before.filter(pa.array(part.inside)), self.compared.after.filter(pa.array(part.then))
        return *told(column, rows, counts), bins_moved(column, *counts)

    def _span(self, part: _Part) -> tuple[date, date | None, bool]:
        """Return the first day, the last if it is over, and whether it may be older than what can be compared."""
        first, last = part.found.slice.days or (0, self.rows.length - 1)
        until = None if last == self.rows.length - 1 else self.compared.first + DAY * last
        if first:
            return self.compared.first + DAY * first, until, False
        back, known = self._days_back(part)
        return self.compared.first - DAY * back, until, back == known

    def _days_back(self, part: _Part) -> tuple[int, int]:
        """Return for how many days before the window it was there already, and how many days could be asked.

        The change point between two known distributions is where the sum of log likelihood ratios of the days after
        it is greatest (E. Page, Continuous Inspection Schemes, 1954).
        """
        earlier, found = self.compared.earlier, part.found
        if earlier is None or not earlier.num_rows:
            return 0, 0
        codes, back = codes_of(earlier, self.rows.columns), np.asarray(self.compared.days_before)
        held = found.slice.holds(codes)
        if found.kind == "share":
            values, asked = held.astype(np.int64), np.ones(len(held), dtype=bool)
            old, new = np.bincount(part.inside, minlength=2), np.bincount(part.then, minlength=2)
        else:
            values, asked = codes[found.column], held
            old, new = self._counts(part, found.column)
        speaks = np.log((new + 0.5) / (new + 0.5).sum()) - np.log((old + 0.5) / (old + 0.5).sum())
        longest, size = int(back.max()), len(speaks)
        daily = np.bincount(back[asked] * size + values[asked], minlength=(longest + 1) * size)
        sums = (daily.reshape(longest + 1, size) @ speaks)[1:].cumsum()
        best = int(sums.argmax())
        return (best + 1 if sums[best] > 0 else 0), longest
