"""Quality: how the scores came true, as far as labels are known by now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.names import duration_text
from headrace.evaluation.evaluate import LEAST_ROWS, Measured, by_value
from headrace.features.declaration import Label
from headrace.features.training import known_by, label_rows
from headrace.models.predict import MODEL, SCORE
from headrace.monitoring.declaration import Quality
from headrace.monitoring.drift import window_start
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

REALIZED = pa.schema(
    {
        "day": pa.date32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "rows": pa.int64(),
        "model": pa.string(),
        "note": pa.string(),
    }
)


@dataclass(frozen=True)
class Realized:
    """How a model's own scores of the window that ends on a day came true; no value where `note` says why."""

    day: date
    model: str
    rows: int
    value: float | None
    note: str = ""


def realized_rows(site: Site, label: Label) -> pa.Table:
    """Return every score whose label is known by now, ordered by time: entity, time, score, model, day, label."""
    table = site.product.table("predictions", "batch")
    columns = [label.entity, label.time, SCORE, MODEL, DAY]
    scores = site.tables.read(table, columns=columns) if site.tables.exists(table) else None
    if scores is None or not scores.num_rows:
        return pa.table({name: [] for name in [*columns, label.column]})
    span = pc.min_max(scores[DAY]).as_py()
    labels = known_by(label_rows(site, label, Days(span["min"], span["max"])), label, site.clock.now())
    return scores.join(labels.select([label.entity, label.column]), label.entity, join_type="inner").sort_by(
        [(label.time, "ascending"), (label.entity, "ascending")]
    )


def realized_by_day(rows: pa.Table, label: Label, policy: Quality) -> list[Realized]:
    """Return for each day the quality of the model that scored it last, over the window that ends there.

    Only the model's own scores count: those of two models on one scale would measure neither.
    """
    days = rows[DAY].to_pylist()
    last = dict(zip(days, rows[MODEL].to_pylist(), strict=True))
    return [_realized(_window(rows, day, model, policy), label, day, model) for day, model in last.items()]


def quality_table(days: Sequence[Realized], policy: Quality) -> pa.Table:
    """Return the rows of monitoring/quality."""
    return pa.Table.from_pylist([{**vars(day), "metric": policy.metric} for day in days], schema=REALIZED)


def realized_by_month(rows: pa.Table, label: Label) -> dict[str, Measured]:
    """Return the quality of each local month, whichever models were live; none where the label is a number."""
    if not rows.num_rows:
        return {}
    if not is_binary(rows[label.column]):
        return {}
    months = pc.strftime(rows[DAY], format="%Y-%m").to_pylist()
    return by_value(months, rows[label.column].to_numpy(), rows[SCORE].to_numpy())


def live_quality(days: Sequence[Realized], live: Release) -> Realized | None:
    """Return the newest quality of the live model; None while no label is known of what it scored."""
    return next((day for day in reversed(days) if day.model == live.model), None)


def quality_words(found: Realized | None, policy: Quality) -> str:
    """Return the verdict on the live model's quality as a sentence."""
    if found is None:
        return "labels of what the live model scored are not known yet"
    if found.value is None:
        return found.note
    side = "no floor is declared" if policy.floor is None else f"floor {policy.floor:g}"
    return f"{policy.metric} is {found.value:.3f}, {side}, on {found.rows:,} labels of {duration_text(policy.window)} to {found.day}"


def _window(rows: pa.Table, day: date, model: str, policy: Quality) -> pa.Table:
    first = pa.scalar(window_start(day, policy.window))
    in_window = pc.and_(pc.greater_equal(rows[DAY], first), pc.less_equal(rows[DAY], pa.scalar(day)))
    return rows.filter(pc.and_(in_window, pc.equal(rows[MODEL], model)))


def _realized(own: pa.Table, label: Label, day: date, model: str) -> Realized:
    if own.num_rows < LEAST_ROWS:
        return Realized(day, model, own.num_rows, None, f"{own.num_rows} labels are too few, fewer than {LEAST_ROWS}")
    if not is_binary(own[label.column]):
        return Realized(
            day, model, own.num_rows, None, f"an AUC needs labels of 0 and 1, and {label.column} is a number"
        )
    answers, scores = own[label.column].to_numpy(), own[SCORE].to_numpy()
    if answers.min() == answers.max():
        return Realized(day, model, own.num_rows, None, f"all {own.num_rows} labels are {answers[0]}: one class only")
    if not np.isfinite(scores).all():
        return Realized(day, model, own.num_rows, None, "some scores are not numbers")
    return Realized(day, model, own.num_rows, _auc(answers, scores))


def is_binary(labels: pa.ChunkedArray) -> bool:
    """Return whether labels are nothing but 0 and 1."""
    return bool(pc.all(pc.is_in(labels.cast(pa.float64()), pa.array([0.0, 1.0]))).as_py())


def _auc(answers: Any, scores: Any) -> float:
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415  importing scikit-learn takes a second

    return float(roc_auc_score(answers, scores))
