"""Evaluation: metrics with what chance may have added, on all rows, by slice and by month, and the curves behind them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from headrace.core.errors import DeclarationError, NoRows
from headrace.core.names import did_you_mean
from headrace.evaluation.curves import Curve, curves_of
from headrace.evaluation.metrics import Aim, Ranked, metrics_of, ranked
from headrace.features.declaration import Label
from headrace.models.blocks import Array, blocks_of, drawn, first_of, interval, local_days
from headrace.models.words import MEASURED

LEAST_ROWS = 100
"""Metrics of fewer rows are shown, and decide nothing: they are chance."""
CLASSES = Aim()
ALL_ROWS = ("", "")
ALONE = np.ones((1, 1))
"""The one sample of rows that lie in one block: the rows as they are."""


class Measured(BaseModel):
    """Metrics on some rows; None where they have no meaning, with the reason in `note`."""

    rows: int
    positives: int
    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float]] = {}
    """Metric → where it lies with the declared confidence, had other days come."""
    note: str = ""
    notes: dict[str, str] = {}
    """Metric → why it has no value, or what it counts."""


class Gap(BaseModel):
    """The distance between the best and the worst value of a column, of those with 100 rows or more."""

    value: float
    low: float
    high: float
    """Where it lies with the declared confidence, had other days come."""
    least: str
    greatest: str


class Evaluation(BaseModel):
    """How a model did on rows that it had not seen."""

    overall: Measured
    slices: dict[str, dict[str, Measured]] = {}
    """Column → value → metrics."""
    gaps: dict[str, dict[str, Gap]] = {}
    """Column → metric → gap between its values."""
    months: dict[str, Measured] = {}
    curves: dict[str, Curve] = {}
    blocks: int = 0
    """How many blocks of rows (local days) the intervals are of."""
    confidence: float = 0.95

    def measured(self) -> dict[str, float]:
        """Return the metrics of all rows that have a meaning."""
        return {name: value for name, value in self.overall.metrics.items() if value is not None}

    @property
    def headline(self) -> str:
        """The metric that counts first for the model's task; AUC where nothing could be measured."""
        first = [names[0] for names in MEASURED.values()]
        return next((name for name in first if name in self.overall.metrics), first[0])

    def listed(self) -> list[dict[str, Any]]:
        """Return a row of metrics for each slice and month."""
        parts = {**self.slices, "month": self.months}
        return [
            {"slice": f"{column} {value}", "rows": measured.rows, "positives": measured.positives, **measured.metrics}
            for column, values in parts.items()
            for value, measured in values.items()
        ]

    def gaps_listed(self) -> list[dict[str, Any]]:
        """Return a row for each gap."""
        return [
            {"column": column, "metric": metric, **gap.model_dump()}
            for column, gaps in self.gaps.items()
            for metric, gap in gaps.items()
        ]


@dataclass(frozen=True)
class Measuring:
    """How scores are measured: against which label, by which slices, with which confidence, deciding how."""

    label: Label
    timezone: str = "UTC"
    slices: Sequence[str] = ()
    confidence: float = 0.95
    aim: Aim = field(default_factory=Aim)
    group: str | None = None
    """For a ranking: the column whose rows are ranked against each other."""


@dataclass(frozen=True)
class Sampled:
    """Metrics of some rows in each sample, the rows as they are first; none where `note` says why."""

    rows: int
    positives: int
    values: dict[str, Array]
    note: str = ""
    blocks: int = 0
    """How many blocks (local days) they lie on."""

    def measured(self, confidence: float) -> Measured:
        """Return the metrics with their intervals."""
        found = {
            name: interval(values, self.blocks, confidence) for name, values in self.values.items() if len(values) > 1
        }
        return Measured(
            rows=self.rows,
            positives=self.positives,
            metrics={name: _finite(values[0]) for name, values in self.values.items()},
            intervals={name: bounds for name, bounds in found.items() if bounds},
            note=self.note,
        )


@dataclass(frozen=True)
class Sampling:
    """Rows in the order of their scores, and the metrics of them and of their slices in the same samples of blocks."""

    rows: Ranked
    order: Array
    """Where each of the rows stood before."""
    draws: Array
    parts: dict[tuple[str, str], Sampled]
    """Column and value → metrics; all rows under two empty texts."""

    @property
    def overall(self) -> Sampled:
        """The metrics of all rows."""
        return self.parts[ALL_ROWS]


def evaluate(rows: pa.Table, scores: Any, measuring: Measuring) -> Evaluation:
    """Return the evaluation of `scores` against what came true, as a whole, by slice and by local month.

    Raises NoRows for none, DeclarationError for a slice that is no column.
    """
    return evaluation_of(rows, sample(rows, scores, measuring), measuring)


def sample(rows: pa.Table, scores: Any, measuring: Measuring) -> Sampling:
    """Return the metrics in 1,000 samples of days, of all rows and by slice; raises as `evaluate` does."""
    if not rows.num_rows:
        raise NoRows("There is no row to evaluate on: no label of the test span is known.")
    _refuse_unknown_slices(rows, measuring.slices)
    answers = rows[measuring.label.column].cast(pa.float64()).to_numpy()
    order = np.argsort(scores, kind="stable")
    times = rows[measuring.label.time]
    groups = _numbered(rows[measuring.group])[0] if measuring.group else None
    blocks = blocks_of(times if groups is None else first_of(times, groups), measuring.timezone)
    ordered = ranked(answers, scores, blocks, order)
    if groups is not None:
        ordered = replace(ordered, groups=groups[order])
    draws = drawn(ordered.count)
    parts = {
        (column, value): sampled(part, draws, measuring.aim)
        for column in measuring.slices
        for value, part in _parts(rows[column], ordered, order)
    }
    return Sampling(ordered, order, draws, {ALL_ROWS: sampled(ordered, draws, measuring.aim), **parts})


def evaluation_of(rows: pa.Table, sampling: Sampling, measuring: Measuring) -> Evaluation:
    """Return what samples of the rows say, with metrics by month and curves."""
    confidence = measuring.confidence
    slices: dict[str, dict[str, Measured]] = {column: {} for column in measuring.slices}
    for (column, value), part in sampling.parts.items():
        if column:
            slices[column][value] = part.measured(confidence)
    months = pc.strftime(local_days(rows[measuring.label.time], measuring.timezone).to_arrow(), format="%Y-%m")
    return Evaluation(
        overall=sampling.overall.measured(confidence),
        slices=slices,
        gaps={column: dict(_gaps(sampling, column, confidence)) for column in measuring.slices},
        months={value: _alone(part, measuring.aim) for value, part in _parts(months, sampling.rows, sampling.order)},
        curves=curves_of(sampling.rows, sampling.draws, confidence, measuring.aim.task)
        if sampling.overall.values
        else {},
        blocks=sampling.rows.count,
        confidence=confidence,
    )


def _gaps(sampling: Sampling, column: str, confidence: float) -> Iterator[tuple[str, Gap]]:
    """Yield the gap of each metric that all large values of a column have, in the same samples."""
    large = {v: part for (c, v), part in sampling.parts.items() if c == column and part.rows >= LEAST_ROWS}
    blocks = min((part.blocks for part in large.values()), default=0)
    for metric in sampling.overall.values:
        values = [part.values[metric] for part in large.values() if metric in part.values]
        if len(values) < max(len(large), 2) or len({len(value) for value in values}) > 1:
            continue
        each = np.stack(values)
        bounds = interval(each.max(axis=0) - each.min(axis=0), blocks, confidence)
        if bounds:
            names, now = list(large), each[:, 0]
            yield (
                metric,
                Gap(
                    value=float(now.max() - now.min()),
                    low=max(bounds[0], 0.0),
                    high=bounds[1],
                    least=names[int(now.argmin())],
                    greatest=names[int(now.argmax())],
                ),
            )


def sampled(rows: Ranked, draws: Array, aim: Aim) -> Sampled:
    """Return the metrics of some rows in each sample; of fewer than 100 rows, of the rows as they are."""
    count, classes = len(rows.scores), aim.task == "classification"
    positives = int(rows.came_true.sum()) if classes else 0
    if classes and positives in (0, count):
        return Sampled(count, positives, {}, "one class only: nothing can be ranked")
    if not np.isfinite(rows.scores).all():
        return Sampled(count, positives, {}, "some scores are not numbers")
    few = count < LEAST_ROWS or rows.count < 2
    found = metrics_of(rows.whole() if few else rows, ALONE if few else draws, aim)
    return Sampled(count, positives, found, blocks=len(np.unique(rows.blocks)))


def measure(answers: Any, scores: Any, aim: Aim = CLASSES) -> Measured:
    """Return the metrics of some rows, without intervals."""
    return _alone(ranked(answers, scores), aim)


def by_value(values: Sequence[Any] | Any, answers: Any, scores: Any) -> dict[str, Measured]:
    """Return the metrics for each value of a column, missing ones under "(missing)"."""
    order = np.argsort(scores, kind="stable")
    return {value: _alone(part, CLASSES) for value, part in _parts(pa.array(values), ranked(answers, scores), order)}


def _alone(rows: Ranked, aim: Aim) -> Measured:
    return sampled(rows.whole(), ALONE, aim).measured(0.5)


def _parts(values: Any, rows: Ranked, order: Array) -> Iterator[tuple[str, Ranked]]:
    """Yield the rows of each value of a column, in the order of their scores, by the value's text."""
    numbers, names = _numbered(values)
    for number in np.argsort(names):
        yield names[number], rows.part(numbers[order] == number)


def _numbered(values: Any) -> tuple[Array, list[str]]:
    """Return a number for each value of a column, and the text of each number."""
    encoded = pc.dictionary_encode(values.cast(pa.string()), null_encoding="encode")
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    names = ["(missing)" if name is None else name for name in encoded.dictionary.to_pylist()]
    return encoded.indices.to_numpy(zero_copy_only=False), names


def _refuse_unknown_slices(rows: pa.Table, slices: Sequence[str]) -> None:
    for column in slices:
        if column not in rows.column_names:
            raise DeclarationError(
                f"Rows are to be judged by '{column}', which is no column of the training set."
                f"{did_you_mean(column, rows.column_names)}",
                ("gates",),
            )


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
