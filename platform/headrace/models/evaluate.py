"""Evaluation: metrics with what they were measured on, by slice and by month, and the curves behind them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from headrace.core.days import local_day
from headrace.core.errors import DeclarationError, NoRows
from headrace.core.names import did_you_mean
from headrace.features.declaration import Label

CALIBRATION_BINS = 10
CURVE_POINTS = 200
LEAST_ROWS = 100
"""Metrics of fewer rows are shown, and decide nothing: they are chance."""


class Measured(BaseModel):
    """Metrics on some rows; None where they have no meaning, with the reason in `note`."""

    rows: int
    positives: int
    metrics: dict[str, float | None]
    note: str = ""


class Evaluation(BaseModel):
    """How a model did on rows that it had not seen."""

    overall: Measured
    slices: dict[str, dict[str, Measured]] = {}
    """Column → value → metrics."""
    months: dict[str, Measured] = {}
    roc: list[tuple[float, float]] = []
    """False and true positive rates."""
    calibration: list[tuple[float, float, int]] = []
    """Mean score, share of positives and rows of each tenth of the rows."""

    def measured(self) -> dict[str, float]:
        """Return the metrics of all rows that have a meaning."""
        return {name: value for name, value in self.overall.metrics.items() if value is not None}

    def listed(self) -> list[dict[str, Any]]:
        """Return a row of metrics for each slice and month."""
        parts = {**self.slices, "month": self.months}
        return [
            {"slice": f"{column} {value}", "rows": measured.rows, "positives": measured.positives, **measured.metrics}
            for column, values in parts.items()
            for value, measured in values.items()
        ]


def evaluate(rows: pa.Table, scores: Any, label: Label, slices: Sequence[str], timezone: str) -> Evaluation:
    """Return the evaluation of `scores` against what came true, as a whole, by slice and by local month.

    Raises NoRows for none, DeclarationError for a slice that is no column.
    """
    if not rows.num_rows:
        raise NoRows("There is no row to evaluate on: no label of the test span is known.")
    _refuse_unknown_slices(rows, slices)
    answers = rows[label.column].to_numpy().astype(np.int8)
    months = np.array([f"{local_day(t, timezone):%Y-%m}" for t in rows[label.time].to_pylist()])
    return Evaluation(
        overall=measure(answers, scores),
        slices={column: by_value(rows[column].to_pylist(), answers, scores) for column in slices},
        months=by_value(months, answers, scores),
        roc=_roc(answers, scores),
        calibration=_calibration(answers, scores),
    )


def measure(answers: Any, scores: Any) -> Measured:
    """Return the metrics of some rows: AUC, average precision, log loss, Brier score, expected calibration error."""
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    positives = int(answers.sum())
    counts = {"rows": len(answers), "positives": positives}
    if positives in (0, len(answers)):
        return Measured(**counts, metrics={}, note="one class only: nothing can be ranked")
    if not np.isfinite(scores).all():
        return Measured(**counts, metrics={}, note="some scores are not numbers")
    return Measured(
        **counts,
        metrics={
            "auc": float(roc_auc_score(answers, scores)),
            "average_precision": float(average_precision_score(answers, scores)),
            "log_loss": float(log_loss(answers, scores)),
            "brier": float(brier_score_loss(answers, scores)),
            "calibration_error": calibration_error(answers, scores),
        },
    )


def calibration_error(answers: Any, scores: Any) -> float:
    """Return the expected calibration error over ten bins of equal size (Naeini et al., AAAI 2015)."""
    return sum(abs(mean - share) * rows for mean, share, rows in _calibration(answers, scores)) / len(answers)


def by_value(values: Sequence[Any] | Any, answers: Any, scores: Any) -> dict[str, Measured]:
    """Return the metrics for each value of a column, missing ones under "(missing)"."""
    names = np.array(["(missing)" if value is None else str(value) for value in values])
    return {str(name): measure(answers[names == name], scores[names == name]) for name in np.unique(names)}


def _refuse_unknown_slices(rows: pa.Table, slices: Sequence[str]) -> None:
    for column in slices:
        if column not in rows.column_names:
            raise DeclarationError(
                f"A gate is `by {column}`, which is no column of the training set.{did_you_mean(column, rows.column_names)}",
                ("gates",),
            )


def _calibration(answers: Any, scores: Any) -> list[tuple[float, float, int]]:
    order = np.argsort(scores, kind="stable")
    parts = [part for part in np.array_split(order, CALIBRATION_BINS) if len(part)]
    return [(float(scores[part].mean()), float(answers[part].mean()), len(part)) for part in parts]


def _roc(answers: Any, scores: Any) -> list[tuple[float, float]]:
    from sklearn.metrics import roc_curve

    if len(np.unique(answers)) < 2 or not np.isfinite(scores).all():
        return []
    false, true, _ = roc_curve(answers, scores)
    kept = np.unique(np.linspace(0, len(false) - 1, CURVE_POINTS).astype(int))
    return [(float(false[i]), float(true[i])) for i in kept]
