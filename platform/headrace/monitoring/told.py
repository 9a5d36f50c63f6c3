"""What happened to the values of a column in some rows, in words that a person would use."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.monitoring.bins import Column, figure, numbers
from headrace.monitoring.cause import BinMoved, Kind, percent
from headrace.monitoring.evidence import contributions

MOST_BINS = 3
PLACES = np.linspace(0.05, 0.95, 19)
"""The quantiles by which a change of unit is recognised."""
EXACT = 0.995
"""How much of the spread of the new quantiles a straight line must tell to be called a change of unit."""
STEEP = 0.15
"""How far its slope must be from 1, in parts of 1."""
MOST = 0.5
"""The part of a movement that makes it one of missing values, or of values that were never seen."""


def bins_moved(column: Column, before: Any, after: Any) -> list[BinMoved]:
    """Return the bins that add most to the index of two samples of a column, given as counts."""
    parts = contributions(before, after)
    shares = before / max(before.sum(), 1), after / max(after.sum(), 1)
    most = [place for place in np.argsort(-parts, kind="stable")[:MOST_BINS] if parts[place] > 0]
    return [
        BinMoved(
            bin=column.words(int(place), int(place)),
            before=float(shares[0][place]),
            after=float(shares[1][place]),
            psi=float(parts[place]),
        )
        for place in most
    ]


def told(column: Column, rows: tuple[pa.Table, pa.Table], counts: tuple[Any, Any]) -> tuple[Kind, str]:
    """Return what happened to a column: which kind of thing, and in words. `rows` and `counts` are before and after."""
    before, after = (count / max(count.sum(), 1) for count in counts)
    rise = np.maximum(after - before, 0)
    moved = rise.sum() or 1.0
    if rise[column.missing] / moved >= MOST:
        return "missing", f"missing {percent(before[column.missing])} → {percent(after[column.missing])}"
    if rise[column.unseen] / moved >= MOST:
        return "unseen", f"{percent(after[column.unseen])} have {_unseen(column, rows[1])}, never seen before"
    if column.edges is None:
        return "values", _categories(column, before, after)
    return "values", _numbers(*(numbers(part, column.name) for part in rows))


def _unseen(column: Column, rows: pa.Table) -> str:
    texts = rows[column.name].cast(pa.string()).drop_null()
    new = texts.filter(pc.invert(pc.is_in(texts, pa.array(column.known, pa.string()))))
    counts = {row["values"]: row["counts"] for row in new.value_counts().to_pylist()}
    often = sorted(counts, key=lambda text: (-counts[text], text))
    more = f" and {len(often) - MOST_BINS} more" if len(often) > MOST_BINS else ""
    return f"{column.name} {', '.join(often[:MOST_BINS])}{more}"


def _categories(column: Column, before: Any, after: Any) -> str:
    place = int(np.argmax(np.abs(after - before)))
    return f"{column.words(place, place)} in {percent(before[place])} → {percent(after[place])}"


def _numbers(before: Any, after: Any) -> str:
    """Return how numbers differ: by a factor, by a straight line as between two units, by a step, or in the middle."""
    old, new = (np.quantile(values[~np.isnan(values)], PLACES) for values in (before, after))
    middle = f"median {figure(float(np.median(old)))} → {figure(float(np.median(new)))}"
    spread = float(((new - new.mean()) ** 2).sum())
    if np.ptp(old) == 0 or spread == 0:
        return middle
    slope, step = np.polyfit(old, new, 1)
    if 1 - float(((new - slope * old - step) ** 2).sum()) / spread < EXACT:
        return middle
    if abs(slope - 1) <= STEEP:
        return f"{figure(abs(step))} {'more' if step > 0 else 'less'} ({middle})"
    factor = float((old * new).sum() / (old**2).sum())
    if 1 - float(((new - factor * old) ** 2).sum()) / spread >= EXACT:
        return f"as if times {figure(factor)} ({middle}): another unit?"
    sign = "-" if step < 0 else "+"
    return f"as if times {figure(float(slope))} {sign} {figure(abs(float(step)))} ({middle}): another unit?"
