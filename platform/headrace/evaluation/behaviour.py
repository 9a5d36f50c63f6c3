"""Behaviour tests: what any model must do with rows like those of the test, made from its inputs alone.

A hard test that fails is a fault of the model or of what scores it; the others say how it moves, and people judge.
Sources: M. Ribeiro et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList (ACL 2020), whose invariance and
directional tests these are, for tables.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from headrace.models.blocks import Array
from headrace.models.meta import Input
from headrace.models.words import Direction

MOST_ROWS, ONE_BY_ONE = 1000, 50
UNIT = 1000.0
"""What a column is multiplied by as if its unit had changed: metres for kilometres."""
NUDGE = 0.01
"""How far numbers are moved against the model, in deviations of their column."""
DIRECTIONS = 8
STEPS = 8
UNSEEN = "never seen"
SLACK = 1e-6
"""Scores of another batch may differ by the last digits of a float32: libraries add in another order."""
Score = Callable[[pa.Table], Any]


class Behaviour(BaseModel):
    """What one test found."""

    test: str
    of: str = ""
    """The input that it is about; empty where it is about all."""
    hard: bool
    """Whether failing it is a fault, whatever the model is for."""
    passed: bool
    value: float
    """How much it found: the greatest move of a score, or the share of rows."""
    what: str


@dataclass(frozen=True)
class Subject:
    """A model under test: what scores, on which inputs and rows, deciding from which score on."""

    score: Score
    inputs: Sequence[Input]
    rows: pa.Table
    threshold: float | None
    """None where scores are no probabilities to decide by."""
    seed: int = 0

    @property
    def numeric(self) -> list[str]:
        """The numeric inputs, as they stand in the rows: numbers, not booleans."""
        kinds = {i.name: self.rows.schema.field(i.name).type for i in self.inputs if i.kind == "numeric"}
        return [name for name, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]


def behaviours(subject: Subject, monotonic: Mapping[str, Direction]) -> list[Behaviour]:
    """Return what the generated tests find on evenly chosen rows: at most 1,000."""
    rows = subject.rows
    chosen = np.unique(np.linspace(0, rows.num_rows - 1, min(rows.num_rows, MOST_ROWS)).astype(int))
    few = Subject(subject.score, subject.inputs, rows.take(chosen).combine_chunks(), subject.threshold, subject.seed)
    base = np.asarray(few.score(few.rows), dtype=float)
    return [
        *_same_rows(few, base),
        *_missing(few, base),
        *_unseen(few, base),
        *_units(few, base),
        *_monotonic(few, monotonic),
        *_nudged(few, base),
    ]


def faults_of(found: Sequence[Behaviour]) -> list[str]:
    """Return the hard tests that failed, in words."""
    return [f"{b.test}: {b.what}" for b in found if b.hard and not b.passed]


def _same_rows(subject: Subject, base: Array) -> Iterator[Behaviour]:
    """Yield whether a row's score depends on that row alone: not on order, on copies, or on how many are asked at once."""
    rows, count = subject.rows, subject.rows.num_rows
    order = np.random.default_rng(subject.seed).permutation(count)
    yield _invariant("row order", subject.score(rows.take(order)), base[order], "the same rows in another order")
    twice = subject.score(pa.concat_tables([rows, rows]))
    yield _invariant("duplicates", twice, np.concatenate([base, base]), "each row twice")
    some = range(0, count, max(count // ONE_BY_ONE, 1))
    alone = np.concatenate([np.asarray(subject.score(rows.slice(n, 1))) for n in some])
    yield _invariant("one by one", alone, base[list(some)], f"{len(alone)} rows one by one")


def _missing(subject: Subject, base: Array) -> Iterator[Behaviour]:
    for column in subject.inputs:
        yield _finite("missing values", column.name, subject.score(_without(subject.rows, [column.name])), base)
    nothing = _without(subject.rows, [column.name for column in subject.inputs])
    yield _finite("missing values", "", subject.score(nothing), base)


def _unseen(subject: Subject, base: Array) -> Iterator[Behaviour]:
    for column in subject.inputs:
        if column.kind == "categorical":
            values = pa.array([UNSEEN] * subject.rows.num_rows, pa.string())
            yield _finite("unseen category", column.name, subject.score(_with(subject.rows, column.name, values)), base)


def _units(subject: Subject, base: Array) -> Iterator[Behaviour]:
    """Yield whether a column in another unit is scored, and moves the scores: one that moves nothing is not looked at."""
    for name in subject.numeric:
        values = _numbers(subject.rows, name) * UNIT
        scores = np.asarray(subject.score(_with(subject.rows, name, pa.array(values, from_pandas=True))), dtype=float)
        known = np.isfinite(scores)
        moved = float(np.abs(scores - base)[known].max(initial=0.0))
        said = f"{name} times {UNIT:,.0f} moves a score by up to {moved:.4g}"
        what = said if known.all() else f"{int((~known).sum())} rows have no score with {name} times {UNIT:,.0f}"
        yield _found("unit change", name, moved > 0, moved, what if moved else f"{said}: it is not looked at")
        if not known.all():
            yield _fault("unit change", name, float((~known).mean()), what)


def _monotonic(subject: Subject, hints: Mapping[str, Direction]) -> Iterator[Behaviour]:
    """Yield whether no score goes the other way along a column with a hint, all else equal, over eight of its quantiles."""
    for name, direction in hints.items():
        values = _numbers(subject.rows, name)
        known = values[np.isfinite(values)]
        if not len(known):
            yield _fault("monotonic", name, 1.0, f"{name} has no value in the test rows: nothing is known of it")
            continue
        steps = np.unique(np.quantile(known, np.linspace(0, 1, STEPS), method="nearest"))
        count = subject.rows.num_rows
        scores = [
            np.asarray(subject.score(_with(subject.rows, name, pa.array(np.full(count, step))))) for step in steps
        ]
        rises = np.diff(np.array(scores), axis=0) * (1 if direction == "increasing" else -1)
        wrong = (rises < -SLACK).any(axis=0)
        worst = float(-rises.min(initial=0.0))
        what = (
            f"{int(wrong.sum())} of {count} rows are not {direction} in {name}; the worst step goes {worst:.4g} the wrong way"
            if wrong.any()
            else f"every row is {direction} in {name}"
        )
        yield Behaviour(
            test="monotonic", of=name, hard=True, passed=not wrong.any(), value=float(wrong.mean()), what=what
        )


def _nudged(subject: Subject, base: Array) -> Iterator[Behaviour]:
    """Yield what happens as all numbers move by a hundredth of their deviation, up or down by chance, eight times."""
    if not subject.numeric:
        return
    chance, worst = np.random.default_rng(subject.seed), np.zeros(len(base))
    flipped = np.zeros(len(base), dtype=bool)
    for _ in range(DIRECTIONS):
        rows = subject.rows
        for name in subject.numeric:
            values = _numbers(subject.rows, name)
            sides = chance.choice([-1.0, 1.0], size=len(values))
            moved = values + NUDGE * _deviation(values) * sides
            rows = _with(rows, name, pa.array(moved, from_pandas=True))
        scores = np.asarray(subject.score(rows), dtype=float)
        worst = np.maximum(worst, np.abs(scores - base))
        if subject.threshold is not None:
            flipped |= (scores >= subject.threshold) != (base >= subject.threshold)
    what = f"numbers moved by {NUDGE:.0%} of their deviation move a score by up to {worst.max():.4g}"
    if subject.threshold is not None:
        what += f" and turn {flipped.mean():.2%} of the decisions"
    if np.isfinite(worst).all():
        yield _found("small nudges", "", True, float(worst.max()), what)
    else:
        yield _fault("small nudges", "", float((~np.isfinite(worst)).mean()), "some rows have no score any more")


def _invariant(test: str, scores: Any, expected: Array, what: str) -> Behaviour:
    distance = np.abs(np.asarray(scores, dtype=float) - expected)
    worst = float(distance.max(initial=0.0)) if np.isfinite(distance).all() else float("inf")
    passed = worst <= SLACK * max(1.0, float(np.abs(expected).max(initial=0.0)))
    said = f"{what}: the same scores" if passed else f"{what}: a score moves by {worst:.4g}"
    return Behaviour(test=test, hard=True, passed=passed, value=worst, what=said)


def _finite(test: str, of: str, scores: Any, base: Array) -> Behaviour:
    """Return whether every row still has a score, and how far the scores move in the mean."""
    known = np.isfinite(np.asarray(scores, dtype=float))
    named = of or "all inputs"
    if not known.all():
        return _fault(test, of, float((~known).mean()), f"{int((~known).sum())} rows have no score ({named})")
    moved = float(np.abs(np.asarray(scores) - base).mean())
    return Behaviour(
        test=test, of=of, hard=True, passed=True, value=moved, what=f"{named}: scores move by {moved:.4g} in the mean"
    )


def _found(test: str, of: str, passed: bool, value: float, what: str) -> Behaviour:
    return Behaviour(test=test, of=of, hard=False, passed=passed, value=value, what=what)


def _fault(test: str, of: str, value: float, what: str) -> Behaviour:
    return Behaviour(test=test, of=of, hard=True, passed=False, value=value, what=what)


def _numbers(rows: pa.Table, name: str) -> Array:
    return np.asarray(rows[name].cast(pa.float64()).fill_null(np.nan).to_numpy())


def _deviation(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.std()) if len(known) else 0.0


def _with(rows: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, values)


def _without(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        rows = _with(rows, name, pa.nulls(rows.num_rows, rows.schema.field(name).type))
    return rows
