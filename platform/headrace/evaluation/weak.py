"""Weak slices, searched: parts of the rows, by one input or two, that a model does worse on than on all others.

Every value of a text and every quarter of a number is tried, alone and with each of another input; missing values are a
value. Days are the blocks of each test, and of all that are tried only those are told that hold with the false discovery rate
kept at 5 %. Sources: Y. Chung et al., Slice Finder (ICDE 2019); Y. Benjamini, Y. Hochberg (1995).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from pydantic import BaseModel

from headrace.evaluation.metrics import Aim
from headrace.models.blocks import Array

MOST_VALUES, QUARTERS, SHOWN = 12, 4, 10
FALSE_SHARE = 0.05
"""Which share of the slices that are told may be chance."""
LEAST_ROWS = 100
LEAST_DAYS = 10
"""A slice that lies on fewer days, or leaves fewer, is not told from its days, and not searched."""


class Weak(BaseModel):
    """A part of the rows that the model does worse on than on all others."""

    slice: str
    rows: int
    loss: float
    """The mean loss there: log loss, squared error or pinball loss, by the model's task."""
    worse_by: float
    """How far that lies above the mean loss of all other rows."""
    low: float
    high: float
    """Where that lies at 95 %, of this slice alone."""
    chance: float
    """How likely a slice that is no worse looks at least so."""


@dataclass(frozen=True)
class Searched:
    """Rows with what a model lost on each, and the block of each."""

    rows: pa.Table
    losses: Array
    blocks: Array


@dataclass(frozen=True)
class _Coded:
    column: str
    codes: Array
    names: Sequence[str]


def losses_of(answers: Array, scores: Any, aim: Aim) -> Array | None:
    """Return what each row loses by its score; None for a ranking, and for scores that are no probabilities."""
    match aim.task:
        case "classification":
            if scores.min() < 0 or scores.max() > 1:
                return None
            tiny = np.finfo(float).eps
            return np.asarray(-np.log(np.where(answers == 1, scores, 1 - scores).clip(tiny, 1 - tiny)))
        case "regression":
            return np.asarray((answers - scores) ** 2)
        case "quantile":
            error = answers - scores
            return np.asarray(np.maximum(aim.quantile * error, (aim.quantile - 1) * error))
        case "ranking":
            return None


def weak_slices(searched: Searched, columns: Sequence[str]) -> list[Weak]:
    """Return the ten slices that are worst by their distance to all other rows, of those that are no chance."""
    coded = [_coded(searched.rows, column) for column in columns]
    tried = [weak for part in _parts(coded) for weak in _tested(part, searched)]
    sure = sorted(tried, key=lambda weak: weak.chance)
    kept = [n for n, weak in enumerate(sure, 1) if weak.chance <= FALSE_SHARE * n / len(sure)]
    return sorted(sure[: max(kept, default=0)], key=lambda weak: -weak.worse_by)[:SHOWN]


def _parts(coded: Sequence[_Coded]) -> Iterator[_Coded]:
    """Yield each column's values, and the values of each two together."""
    yield from coded
    for one, other in combinations(coded, 2):
        names = [f"{a} and {b}" for a in one.names for b in other.names]
        yield _Coded(f"{one.column}, {other.column}", one.codes * len(other.names) + other.codes, names)


def _coded(rows: pa.Table, column: str) -> _Coded:
    """Return a column as codes: its most frequent values and the others, or the quarters of its numbers; and missing."""
    values = pl.Series(values=rows[column])
    if values.dtype.is_numeric():
        return _quarters(column, values.cast(pl.Float64).fill_nan(None))
    texts = values.cast(pl.String)
    counted = texts.drop_nulls().value_counts(sort=True).sort("count", texts.name, descending=[True, False])
    known = counted[texts.name].to_list()[:MOST_VALUES]
    codes = texts.replace_strict({name: n for n, name in enumerate(known)}, default=len(known), return_dtype=pl.Int64)
    codes = pl.select(pl.when(texts.is_null()).then(len(known) + 1).otherwise(codes)).to_series()
    names = [f"{column} = {name}" for name in known]
    return _Coded(column, codes.to_numpy(), [*names, f"{column} is rare", f"{column} is missing"])


def _quarters(column: str, values: pl.Series) -> _Coded:
    numbers = values.to_numpy()
    known = numbers[np.isfinite(numbers)]
    cuts = np.unique(np.quantile(known, np.linspace(0, 1, QUARTERS + 1)[1:-1])) if len(known) else np.array([])
    codes = np.where(np.isfinite(numbers), np.searchsorted(cuts, numbers, side="left"), len(cuts) + 1)
    edges = [f"{cut:.4g}" for cut in cuts]
    names = [f"{column} <= {edges[0]}"] if edges else [f"{column} is there"]
    names += [f"{low} < {column} <= {high}" for low, high in pairwise(edges)]
    names += [f"{column} > {edges[-1]}"] if edges else []
    return _Coded(column, codes, [*names, f"{column} is missing"])


def _tested(part: _Coded, searched: Searched) -> Iterator[Weak]:
    """Yield what is known of each value: its distance to all other rows, tested by Student's t over the blocks."""
    from scipy.special import stdtr, stdtrit

    size, blocks = len(part.names), int(searched.blocks.max(initial=0)) + 1
    cells = part.codes * blocks + searched.blocks
    rows = np.bincount(cells, minlength=size * blocks).reshape(size, blocks).astype(float)
    lost = np.bincount(cells, weights=searched.losses, minlength=size * blocks).reshape(size, blocks)
    other_rows, other_lost = rows.sum(axis=0) - rows, lost.sum(axis=0) - lost
    count, others = rows.sum(axis=1), other_rows.sum(axis=1)
    days = np.minimum((rows > 0).sum(axis=1), (other_rows > 0).sum(axis=1))
    large = np.flatnonzero((count >= LEAST_ROWS) & (others >= LEAST_ROWS) & (days >= LEAST_DAYS))
    rows, lost, other_rows, other_lost = (cells[large] for cells in (rows, lost, other_rows, other_lost))
    mean, rest = lost.sum(axis=1) / count[large], other_lost.sum(axis=1) / others[large]
    pull = (lost - mean[:, None] * rows) / count[large][:, None]
    pull -= (other_lost - rest[:, None] * other_rows) / others[large][:, None]
    free = days[large] - 1
    error = np.sqrt((pull**2).sum(axis=1) * days[large] / free).clip(1e-12)
    wide = stdtrit(free, 0.975) * error
    chance = stdtr(free, -(mean - rest) / error)
    for n, place in enumerate(large.tolist()):
        worse = float(mean[n] - rest[n])
        yield Weak(
            slice=part.names[place],
            rows=int(count[place]),
            loss=float(mean[n]),
            worse_by=worse,
            low=worse - float(wide[n]),
            high=worse + float(wide[n]),
            chance=float(chance[n]),
        )
