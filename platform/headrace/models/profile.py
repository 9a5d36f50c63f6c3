"""Profiles: what a column looks like, as counts over bins that are kept; profiles over the same bins add up exactly.

Numbers are counted between quantiles of the reference (256 bins): equal-width bins miss shifts that quantiles show. The
bins are the sketch of the quantiles: a rank is off by no more than the rows of one bin. Within each bin numbers are
summed in whole steps of a grid that follows from the edges, so that sums do not depend on the order of additions, and
equal those that any other engine makes. A number more than `FARTHEST` steps from the middle counts as one that far.

Texts are counted over the reference's categories: those with most rows, the others as one, and beside them the rows whose
category the reference does not have, of which some are named: those with the lowest digests, so that names add up, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from itertools import chain
from math import frexp, isfinite
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError
from headrace.models.encode import encode
from headrace.models.meta import Input

BINS = 256
TOP = 255
"""How many categories of the reference are counted one by one."""
NEW_NAMES = 20
"""How many categories that the reference does not have are named."""
FARTHEST = 2**22
"""How many steps of the grid a number may lie from the middle: squares of 122,880 of them fit into 64 bits."""
ROWS_AT_ONCE = 122_880
NO_NUMBERS = np.array([])
FINENESS = 12
"""Powers of two: the distance between the quartiles has 2,048 to 4,096 steps."""
WITHOUT_SIGN = 0.0
"""Added to a zero, takes its sign away: no engine says which of two zeros comes first."""
Profile = dict[str, Any]
"""Column → its bins ({"edges"} or {"categories"}), their "counts" and "missing"; numbers also "sums" and "squares" in
steps, "least" and "most"; texts also "other", "new" and "names" (of new categories, with their rows)."""
Counted = dict[str, Any]
"""One column of a profile."""


@dataclass(frozen=True)
class Grid:
    """Steps in which the numbers of a column are summed: a number is `(number - middle) * steps`, rounded to even."""

    middle: float
    steps: float
    """How many steps there are to one: a power of two, so that only the rounding rounds."""


def grid_of(edges: Sequence[float]) -> Grid:
    """Return the grid of a column whose bins have these edges."""
    known = [edge for edge in edges if isfinite(edge)]
    if not known:
        return Grid(0.0, 2.0**FINENESS)
    quartiles = known[len(known) * 3 // 4] - known[len(known) // 4]
    spread = quartiles or known[-1] - known[0] or abs(known[0]) or 1.0
    exponent = frexp(spread)[1] if isfinite(spread) else 1024
    return Grid(known[len(known) // 2], 2.0 ** min(FINENESS - exponent, 1000))


def profile_of(rows: pa.Table, inputs: Sequence[Input], against: Mapping[str, Any] | None = None) -> Profile:
    """Return the profile of the rows, over their own quantiles and categories or over the bins of `against`.

    Raises DataError where the rows lack a column, or have it in another kind.
    """
    encode(rows.schema.empty_table(), inputs)

    def profiled(column: Input) -> Counted:
        of = _texts_profiled if column.kind == "categorical" else _numbers_profiled
        return merged(list(of(rows[column.name], column, against[column.name] if against else None)))

    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        return dict(zip((column.name for column in inputs), pool.map(profiled, inputs), strict=True))


def merged_profiles(parts: Sequence[Profile]) -> Profile:
    """Return the profile of all rows of some profiles, of each column that any of them has."""
    columns = dict.fromkeys(name for part in parts for name in part)
    return {name: merged([part[name] for part in parts if name in part]) for name in columns}


def merged(parts: Sequence[Counted]) -> Counted:
    """Return what is counted of a column in all parts; raises DataError where they are not over the same bins."""
    first = parts[0]
    kind = "edges" if "edges" in first else "categories"
    if any(part.get(kind) != first[kind] for part in parts[1:]):
        raise DataError(f"Profiles over different bins do not add up: not all have the {kind} of the first.")
    whole = {kind: first[kind], "counts": _added(part["counts"] for part in parts)}
    whole["missing"] = sum(part["missing"] for part in parts)
    if kind == "categories":
        whole |= {name: sum(part.get(name, 0) for part in parts) for name in ("other", "new")}
        return whole | {"names": reduce(_both, (part.get("names", {}) for part in parts))}
    if any("sums" not in part for part in parts):
        return whole
    whole |= {"sums": _added(part["sums"] for part in parts), "squares": sum(part["squares"] for part in parts)}
    ends = [(part["least"], part["most"]) for part in parts if part["least"] is not None]
    least, most = (min(e[0] for e in ends), max(e[1] for e in ends)) if ends else (None, None)
    return whole | {"least": least, "most": most}


def rows_of(counted: Mapping[str, Any]) -> int:
    """Return how many rows a column of a profile is about."""
    return present_of(counted) + int(counted["missing"])


def present_of(counted: Mapping[str, Any]) -> int:
    """Return how many of them have a value."""
    return int(sum(counted["counts"]) + counted.get("other", 0) + counted.get("new", 0))


def top_categories(categories: Sequence[str], counts: Sequence[int]) -> list[str]:
    """Return the categories with most rows, of equal ones the first, in the order in which they came."""
    order = sorted(range(len(categories)), key=lambda n: (-counts[n], n))
    return [categories[n] for n in sorted(order[:TOP])]


def lowest_names(names: Mapping[str, int]) -> dict[str, int]:
    """Return some of the names: those with the lowest digests, which are the same whatever the order they came in."""
    kept = sorted(names, key=lambda name: (sha256(name.encode()).hexdigest(), name))[:NEW_NAMES]
    return {name: names[name] for name in kept}


def _numbers_profiled(values: pa.ChunkedArray, _: Input, bins: Mapping[str, Any] | None) -> Iterator[Counted]:
    """Yield what is counted of each piece of a column of numbers, of no rows first; over its own bins it is put in order once."""
    pieces: Iterator[Any] = (
        np.sort(_numbers(chunk.slice(start, ROWS_AT_ONCE)))
        for chunk in values.chunks
        for start in range(0, len(chunk), ROWS_AT_ONCE)
    )
    if bins is None:
        ordered = np.sort(np.concatenate([NO_NUMBERS, *map(_numbers, values.chunks)]))
        bins = {"edges": _edges(ordered[: np.searchsorted(ordered, np.nan)]).tolist()}
        pieces = (ordered[start : start + ROWS_AT_ONCE] for start in range(0, len(ordered), ROWS_AT_ONCE))
    told: list[float] = bins["edges"]
    edges, grid = np.asarray(told, np.float64), grid_of(told)
    for piece in chain([NO_NUMBERS], pieces):
        yield {"edges": told, **_numbers_counted(piece, edges, grid)}


def _edges(ordered: Any) -> Any:
    """Return the lower quantiles of numbers in order, each once."""
    if not len(ordered):
        return NO_NUMBERS
    at = np.floor(np.linspace(0, 1, BINS + 1)[1:-1] * (len(ordered) - 1)).astype(np.int64)
    return np.unique(ordered[at]) + WITHOUT_SIGN


def _numbers(chunk: pa.Array) -> Any:
    """Return numbers and booleans as floats, what is missing as NaN."""
    if pa.types.is_float64(chunk.type):
        return chunk.to_numpy(zero_copy_only=False)
    return pl.Series(pl.from_arrow(chunk)).cast(pl.Float64).to_numpy()


def _numbers_counted(ordered: Any, edges: Any, grid: Grid) -> Counted:
    """Return what is counted of numbers in order: each edge is looked for among them, not each of them among the edges."""
    present = int(np.searchsorted(ordered, np.nan))
    ends = np.concatenate(([0], np.searchsorted(ordered[:present], edges, side="right"), [present]))
    with np.errstate(over="ignore"):
        # What overflows is farther than the farthest step, as infinity is.
        steps = np.subtract(ordered[:present], grid.middle)
        np.multiply(steps, grid.steps, out=steps)
    np.clip(steps, -FARTHEST, FARTHEST, out=steps)
    whole = np.rint(steps, out=steps).astype(np.int64)
    sums = np.concatenate(([0], np.cumsum(whole)))[ends]
    return {
        "counts": np.diff(ends).tolist(),
        "missing": len(ordered) - present,
        "sums": np.diff(sums).tolist(),
        "squares": int(np.dot(whole, whole)),
        "least": float(ordered[0] + WITHOUT_SIGN) if present else None,
        "most": float(ordered[present - 1] + WITHOUT_SIGN) if present else None,
    }


def _texts_profiled(values: pa.ChunkedArray, column: Input, bins: Mapping[str, Any] | None) -> Iterator[Counted]:
    """Yield what is counted of each piece of a column of texts, of no rows first."""
    if bins is None:
        rows: dict[str, int] = reduce(_sum, map(_texts, values.chunks), {})
        bins = {"categories": top_categories(column.categories, [rows.get(c, 0) for c in column.categories])}
    known = frozenset(column.categories)
    yield _texts_counted({}, 0, bins["categories"], known)
    for chunk in values.chunks:
        yield _texts_counted(_texts(chunk), chunk.null_count, bins["categories"], known)


def _texts(chunk: pa.Array) -> dict[str, int]:
    """Return how many rows each text has."""
    counted = pc.value_counts(chunk.cast(pa.string()))
    texts, rows = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return {text: count for text, count in zip(texts, rows, strict=True) if text is not None}


def _texts_counted(rows: Mapping[str, int], missing: int, kept: list[str], known: frozenset[str]) -> Counted:
    own = frozenset(kept)
    new = {name: count for name, count in rows.items() if name not in known}
    return {
        "categories": kept,
        "counts": [rows.get(name, 0) for name in kept],
        "missing": missing,
        "other": sum(count for name, count in rows.items() if name in known and name not in own),
        "new": sum(new.values()),
        "names": lowest_names(new),
    }


def _added(counts: Iterable[Sequence[int]]) -> list[int]:
    """Return the sums of the counts of each bin."""
    return list(map(sum, zip(*counts, strict=True)))


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {**one, **{name: one.get(name, 0) + count for name, count in other.items()}}


def _both(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return lowest_names(_sum(one, other))
