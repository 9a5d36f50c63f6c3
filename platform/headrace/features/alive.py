"""Which events count when: instants in order, and at each of them how many, which distinct, which best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
NONE = -1
"""The place of an event that is not there."""
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Alive:
    """Events that count for one window: from place `starts` on, until place `ends`, among `places` places."""

    events: Ints
    """Their rows, by entity and by when they happened."""
    entities: Ints
    starts: Ints
    ends: Ints
    """In ascending order, as the events are."""
    places: int

    def of(self, present: Truths) -> "Alive":
        """Return those of the events whose row is present; itself where all are."""
        kept = present[self.events]
        if kept.all():
            return self
        return Alive(self.events[kept], self.entities[kept], self.starts[kept], self.ends[kept], self.places)

    @cached_property
    def started(self) -> Ints:
        """How many have started at each place or before it."""
        return np.cumsum(np.bincount(self.starts, minlength=self.places))

    @cached_property
    def ended(self) -> Ints:
        """How many have ended at each place or before it."""
        return np.cumsum(np.bincount(self.ends, minlength=self.places))

    @cached_property
    def count(self) -> Ints:
        """How many are alive at each place."""
        return self.started - self.ended

    @cached_property
    def by_start(self) -> Ints:
        """The numbers of these events in the order in which they start."""
        return np.argsort(self.starts, kind="stable")

    def distinct(self, value: Ints) -> Ints:
        """Return how many distinct values are alive at each place; `value` holds a number for each row's value.

        Method: of events with one entity and value, each counts from where those before it have ended.
        """
        mine = value[self.events]
        order = np.lexsort((self.starts, mine, self.entities))
        starts, ends = self.starts[order], self.ends[order]
        group = np.cumsum(changes(self.entities[order]) | changes(mine[order]))
        apart = group * (self.places + 1)
        farthest = np.maximum.accumulate(ends + apart)
        before = np.concatenate([[NONE], farthest[:-1]]) - apart
        starts = np.maximum(starts, before)
        own = starts < ends
        started, ended = (np.bincount(at[own], minlength=self.places) for at in (starts, ends))
        return np.cumsum(started - ended)

    def best(self, order: Ints) -> Ints:
        """Return the row of the best event alive at each place, NONE where there is none; `order` lists rows, worst first.

        Method: an event's places are covered by two blocks of a power of two; from the largest blocks down each hands
        its best to its two halves (a sparse table, backwards).
        """
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        mine = rank[self.events]
        level = np.frexp((self.ends - self.starts).astype(np.float64))[1] - 1
        best = np.full(self.places, NONE)
        for k in range(level.max(initial=0), -1, -1):
            size = 1 << k
            halves = best.copy()
            np.maximum(halves[size:], best[:-size], out=halves[size:])
            best, these = halves, level == k
            np.maximum.at(best, self.starts[these], mine[these])
            np.maximum.at(best, self.ends[these] - size, mine[these])
        return np.where(best == NONE, NONE, order[best]) if len(order) else best


@dataclass(frozen=True)
class Timeline:
    """The instants at which something changes, one entity after the other, and what is alive there in each window."""

    at: Ints
    """The instants, in microseconds since 1970."""
    row: Ints
    """A row of the entity that each instant belongs to."""
    windows: Mapping[timedelta, Alive]

    def within(self, span: tuple[datetime, datetime] | None) -> Ints:
        """Return the places of the instants in [start, end), or of all."""
        if span is None:
            return np.arange(len(self.at))
        start, end = (_microseconds(moment) for moment in span)
        return np.flatnonzero((self.at >= start) & (self.at < end))


def timeline(entities: Ints, happened: Ints, known: Ints, overs: Sequence[timedelta]) -> Timeline:
    """Return when events, which come by entity and by when they happened, count: known <= t < happened + over.

    `entities` are numbers, the other two microseconds since 1970.
    """
    passed = {over: happened + over // MICROSECOND for over in overs}
    counts = {over: np.flatnonzero(known < end) for over, end in passed.items()}
    ever = counts[max(overs)]
    rows = np.concatenate([ever, *counts.values()])
    at = np.concatenate([known[ever], *(passed[over][rows] for over, rows in counts.items())])
    order = ordered(entities[rows], at)
    new = changes(entities[rows][order]) | changes(at[order])
    place = np.empty(len(rows), np.int64)
    place[order] = np.cumsum(new) - 1
    begins = np.full(len(happened), NONE)
    begins[ever] = place[: len(ever)]
    ends = np.split(place[len(ever) :], np.cumsum([len(mine) for mine in counts.values()])[:-1])
    places = int(new.sum())
    windows = {
        over: Alive(mine, entities[mine], begins[mine], end, places)
        for (over, mine), end in zip(counts.items(), ends, strict=True)
    }
    return Timeline(at[order][new], rows[order][new], windows)


def ordered(entities: Ints, at: Ints) -> Ints:
    """Return the order by entity and instant; fast where one number can stand for both."""
    if not len(at):
        return np.zeros(0, np.int64)
    width = int(at.max()) - int(at.min()) + 1
    if (int(entities.max()) - int(entities.min()) + 1) * width >= 1 << 63:
        return np.lexsort((at, entities))
    return np.argsort((entities - entities.min()) * width + (at - at.min()), kind="stable")


def changes(values: Ints) -> Truths:
    """Return where a value differs from the one before it; true for the first."""
    new = np.ones(len(values), np.bool_)
    new[1:] = values[1:] != values[:-1]
    return new


def _microseconds(moment: datetime) -> int:
    return (moment - datetime.fromisoformat("1970-01-01T00:00:00Z")) // MICROSECOND
