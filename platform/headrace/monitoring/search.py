"""The slice of rows that moved: searched for over one and two conditions, by how much its own rows speak against chance.

Rows are bins of columns (`bins.py`), those of the reference and those of a window of days. Two things may happen to a
slice: a column has other values within it, or the slice has another share of all rows. Its evidence is the likelihood
ratio of its own rows (M. Kulldorff, A spatial scan statistic, 1997), less the logarithm of how many such questions are
asked: a larger slice with the same rows moved in it is diluted, a smaller one has fewer rows, and a second condition
costs the logarithm of all second conditions. As in Slice Finder (Y. Chung et al., 2019) few conditions are tried first
and only the best of them are narrowed; the measure of what may be named at all is an effect, not the evidence alone.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from headrace.monitoring.evidence import distance, of_share, of_values
from headrace.monitoring.slices import Condition, Found, Searched, Slice

LEAST_ROWS = 50
"""Slices of fewer rows on either side are not looked at."""
NARROWED = 8
"""How many slices of one condition are narrowed by a second, for each column."""
REFINED = 24
"""How many of the best slices are tried on parts of the days, and on neighbouring bins."""
WIDENING = 2.0
"""Nats that each bin costs by which a condition is stretched."""
LEAST_TIMES = 1.5
"""How many times as many rows, or as few, a slice has that is said to have another share."""
LEAST_EVIDENCE = 4.6
"""Nats beyond the logarithm of the questions asked: chance reaches that once in a hundred searches."""


def strongest(rows: Searched) -> Found | None:
    """Return what has happened to the rows that is least by chance; None where nothing has."""
    if min(rows.sizes) < LEAST_ROWS or not rows.open:
        return None
    distinct = {(one.kind, one.slice, one.column): one for one in _candidates(rows)}
    found = sorted(distinct.values(), key=lambda one: -one.nats)[:REFINED]
    refined = [part for one in found for part in (_widened(rows, part) for part in _on_days(rows, one))]
    best = max(refined, key=lambda one: (one.nats, -len(one.slice.conditions)), default=None)
    return best if best and best.nats >= LEAST_EVIDENCE else None


def moved_with(rows: Searched, found: Found) -> list[int]:
    """Return the columns whose values moved within a slice beyond chance and far enough, the farthest first."""
    before = rows.before[:, found.slice.holds(rows.before)]
    after = rows.after[:, found.slice.holds_then(rows.after, rows.days)]
    sliced = {one.column for one in found.slice.conditions}
    far: dict[int, float] = {}
    for place in (place for place in rows.open if place not in sliced):
        counts = [np.bincount(part[place], minlength=rows.columns[place].size) for part in (before, after)]
        nats, _ = of_values(*counts)
        index = float(distance(*counts))
        if nats >= LEAST_EVIDENCE + np.log(len(rows.open)) and index >= rows.least:
            far[place] = index
    return sorted(far, key=lambda place: -far[place])


def _candidates(rows: Searched) -> Iterator[Found]:
    """Yield slices of no, one and two conditions with what happened to them."""
    for place in rows.open:
        yield from _everywhere(rows, place)
    before, after = _Pairs(rows, rows.before), _Pairs(rows, rows.after)
    yield from _of_shares(rows, before, after)
    for place in rows.open:
        singles = _of_values(rows, place, before.of(place), after.of(place))
        yield from singles
        yield from (narrower for one in singles for narrower in _narrowed(rows, one))


class _Pairs:
    """How many rows lie in each bin of each column and in each bin of another."""

    def __init__(self, rows: Searched, codes: Any) -> None:
        self._rows, self._codes = rows, codes
        self._shifted = codes + rows.starts[:-1, None]
        self._known: dict[int, Any] = {}

    def of(self, place: int) -> Any:
        """Return the counts: bins of all columns (first axis) by the bins of one (second axis)."""
        if place not in self._known:
            self._known[place] = _by_bin(self._rows, self._shifted, self._codes[place], place)
        return self._known[place]


def _by_bin(rows: Searched, shifted: Any, codes: Any, place: int) -> Any:
    size, total = rows.columns[place].size, int(rows.starts[-1])
    keys = shifted * size
    keys += codes
    return np.bincount(keys.ravel(), minlength=total * size).reshape(total, size)


def _everywhere(rows: Searched, place: int) -> Iterator[Found]:
    """Yield what happened to the values of a column over all rows."""
    size = rows.columns[place].size
    before = np.bincount(rows.before[place], minlength=size)
    after = np.bincount(rows.after[place], minlength=size)
    nats, best = of_values(before, after)
    if max(float(distance(before, after)), 0) >= rows.least or rows.length > 1:
        yield Found("values", Slice(), place, float(nats) - np.log(len(rows.open)), int(best))


def _of_values(rows: Searched, place: int, before: Any, after: Any) -> list[Found]:
    """Return what happened to the values of a column in the slices of one condition, large enough, that tell most."""
    large = np.minimum(before.sum(axis=1), after.sum(axis=1)) >= LEAST_ROWS
    columns = np.repeat(np.arange(len(rows.columns)), np.diff(rows.starts))
    large &= (columns != place) & ~np.isin(columns, list(rows.closed))
    kept = np.flatnonzero(large)
    if not len(kept):
        return []
    nats, bins = of_values(before[kept], after[kept])
    best = np.argsort(-nats, kind="stable")[:NARROWED]
    questions = np.log(len(rows.open) * rows.starts[-1])
    return [
        Found("values", Slice((_condition(rows, int(kept[one])),)), place, float(nats[one] - questions), int(bins[one]))
        for one in best
    ]


def _narrowed(rows: Searched, found: Found) -> list[Found]:
    """Return a slice of one condition with each second condition."""
    [first] = found.slice.conditions
    sides = [codes[:, found.slice.holds(codes)] for codes in (rows.before, rows.after)]
    before, after = (_by_bin(rows, s + rows.starts[:-1, None], s[found.column], found.column) for s in sides)
    own = slice(rows.starts[first.column], rows.starts[first.column + 1])
    before[own], after[own] = 0, 0
    pairs = np.log(rows.starts[-1] / 2)
    return [
        replace(one, slice=Slice(tuple(sorted((first, *one.slice.conditions)))), nats=one.nats - pairs)
        for one in _of_values(rows, found.column, before, after)
    ]


def _of_shares(rows: Searched, before: _Pairs, after: _Pairs) -> Iterator[Found]:
    """Yield the slices of one and two conditions whose share of the rows is another one."""
    sizes = rows.sizes
    questions = np.log(len(rows.open)) + np.log(rows.starts[-1])
    columns = np.repeat(np.arange(len(rows.columns)), np.diff(rows.starts))
    ordinary = np.concatenate([np.arange(c.size) < c.ordinary for c in rows.columns])
    for place in rows.open:
        old, new = before.of(place), after.of(place)
        nats = of_share(old, sizes[0], new, sizes[1]) - questions
        single = np.isin(columns, [place])
        allowed = ordinary & ~np.isin(columns, list(rows.closed)) & (columns >= place)
        ratio = (new + 0.5) / sizes[1] / ((old + 0.5) / sizes[0])
        fits = (np.maximum(ratio, 1 / ratio) >= LEAST_TIMES) & (np.maximum(old, new) >= LEAST_ROWS) & allowed[:, None]
        fits &= ordinary[rows.starts[place] : rows.starts[place + 1]]
        nats = np.where(single[:, None], nats, nats - np.log(rows.starts[-1] / 2))
        for other, own in np.argwhere(fits & (nats > 0)):
            conditions = {_condition(rows, int(other)), Condition(place, int(own), int(own))}
            if columns[other] != place or other - rows.starts[place] == own:
                yield Found("share", Slice(tuple(sorted(conditions))), place, float(nats[other, own]))


def _condition(rows: Searched, place: int) -> Condition:
    column = int(np.searchsorted(rows.starts, place, side="right")) - 1
    own = place - int(rows.starts[column])
    return Condition(column, own, own)


def _on_days(rows: Searched, found: Found) -> Iterator[Found]:
    """Yield what happened to a slice over the whole window, and on the run of days that tells most."""
    whole = _measured(rows, replace(found, nats=0.0))
    asked = found.nats - whole.nats
    if whole.nats + asked > 0 and _is_far(rows, found):
        yield found
    if not rows.spans:
        return
    counts = _daily(rows, found)
    spans = np.array(rows.spans)
    sums = np.concatenate([np.zeros_like(counts[:1]), counts.cumsum(axis=0)])
    after = sums[spans[:, 1] + 1] - sums[spans[:, 0]]
    nats, bins = _evidence(rows, found, after, spans)
    best = int(nats.argmax())
    days = (int(spans[best, 0]), int(spans[best, 1]))
    part = replace(found, slice=replace(found.slice, days=days), bin=int(bins[best]))
    part = replace(part, nats=float(nats[best]) + asked - np.log(len(spans)))
    if _is_far(rows, part):
        yield part


def _daily(rows: Searched, found: Found) -> Any:
    """Return the counts of a slice by day and bin; of a share its rows by day."""
    inside = found.slice.holds(rows.after)
    days = rows.days[inside]
    if found.kind == "share":
        return np.bincount(days, minlength=rows.length)
    size = rows.columns[found.column].size
    keys = days * size + rows.after[found.column, inside]
    return np.bincount(keys, minlength=rows.length * size).reshape(rows.length, size)


def _evidence(rows: Searched, found: Found, after: Any, spans: Any) -> tuple[Any, Any]:
    """Return evidence and telling bin for the counts of a slice on some runs of days."""
    inside = found.slice.holds(rows.before)
    if found.kind == "share":
        sums = np.concatenate([[0], np.bincount(rows.days, minlength=rows.length).cumsum()])
        of_all = sums[spans[:, 1] + 1] - sums[spans[:, 0]]
        return of_share(inside.sum(), len(inside), after, of_all), np.full(len(after), -1)
    size = rows.columns[found.column].size
    before = np.bincount(rows.before[found.column, inside], minlength=size)
    nats, bins = of_values(np.broadcast_to(before, after.shape), after)
    return np.where(after.sum(axis=-1) >= LEAST_ROWS, nats, 0.0), bins


def _measured(rows: Searched, found: Found) -> Found:
    """Return what happened to a slice with its evidence, whatever was asked to find it."""
    days = found.slice.days or (0, rows.length - 1)
    after = _daily(rows, found)[days[0] : days[1] + 1].sum(axis=0)
    nats, bins = _evidence(rows, found, np.asarray(after)[None], np.array([days]))
    return replace(found, nats=float(nats[0]), bin=int(bins[0]))


def _is_far(rows: Searched, found: Found) -> bool:
    """Return whether what happened to a slice is worth a name, and the slice large enough for one."""
    days = found.slice.days or (0, rows.length - 1)
    inside = found.slice.holds(rows.before)
    after = _daily(rows, found)[days[0] : days[1] + 1].sum(axis=0)
    if found.kind == "share":
        of_all = int(((rows.days >= days[0]) & (rows.days <= days[1])).sum())
        ratio = (after + 0.5) / max(of_all, 1) / ((inside.sum() + 0.5) / max(len(inside), 1))
        return bool(max(ratio, 1 / ratio) >= LEAST_TIMES and max(after, inside.sum()) >= LEAST_ROWS)
    before = np.bincount(rows.before[found.column, inside], minlength=rows.columns[found.column].size)
    is_large = min(before.sum(), after.sum()) >= LEAST_ROWS
    return bool(is_large and float(distance(before, after)) >= rows.least)


def _widened(rows: Searched, found: Found) -> Found:
    """Return a slice with its numbers' conditions stretched over neighbouring bins, as long as that tells more."""
    best, asked = found, found.nats - _measured(rows, found).nats
    improved = True
    while improved:
        improved = False
        for wider in _wider(rows, best):
            measured = _measured(rows, wider)
            fewer = len(best.slice.conditions) > len(wider.slice.conditions)
            nats = measured.nats + asked + (np.log(rows.starts[-1] / 2) if fewer else -WIDENING)
            if nats > best.nats and _is_far(rows, measured):
                best, improved = replace(measured, nats=nats), True
    return best


def _wider(rows: Searched, found: Found) -> Iterator[Found]:
    """Yield a slice with one of its conditions stretched by a bin, or left out."""
    for one in found.slice.conditions:
        if found.kind == "values":
            rest = tuple(c for c in found.slice.conditions if c != one)
            yield replace(found, slice=replace(found.slice, conditions=rest))
        column = rows.columns[one.column]
        if column.edges is None or one.last >= column.ordinary:
            continue
        for first, last in ((one.first - 1, one.last), (one.first, one.last + 1)):
            if first >= 0 and last < column.ordinary:
                others = tuple(Condition(one.column, first, last) if c == one else c for c in found.slice.conditions)
                yield replace(found, slice=replace(found.slice, conditions=others))
