"""Quality: how the scores came true, as far as labels are known by now.

Every metric of the model's task, by the declared slices, with the interval that evaluation gives it: local days are
drawn with replacement (`models/blocks.py`), as rows of one day share what happened that day.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.names import duration_text
from headrace.evaluation.evaluate import LEAST_ROWS, Measured, Measuring, by_value, sample
from headrace.evaluation.judgement import measuring_of
from headrace.evaluation.metrics import HALF
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.meta import load_meta
from headrace.models.predict import MODEL, SCORE, load_predictor
from headrace.monitoring.declaration import BETTER_LOW, Quality
from headrace.monitoring.drift import window_start
from headrace.store.digest import rows_digest
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY

REALIZED = pa.schema(
    {
        "day": pa.date32(),
        "metric": pa.string(),
        "value": pa.float64(),
        "low": pa.float64(),
        "high": pa.float64(),
        "rows": pa.int64(),
        "by": pa.string(),
        "part": pa.string(),
        "model": pa.string(),
        "note": pa.string(),
        "state": pa.string(),
    }
)


@dataclass(frozen=True)
class Realized:
    """How a model's own scores of the window that ends on a day came true, by one metric; no value where `note` says why."""

    day: date
    model: str
    rows: int
    value: float | None
    note: str = ""
    metric: str = "auc"
    low: float | None = None
    high: float | None = None
    """Where it lies with the declared confidence, had other days come; None where too few days are known."""
    by: str = ""
    part: str = ""
    """Column and value of a slice; empty for all rows."""
    state: str = ""
    """A digest of the labelled scores behind it, and of how they were measured."""

    @property
    def said(self) -> str:
        """The value with its interval."""
        between = f" ({self.low:.3f} to {self.high:.3f})" if self.low is not None else ""
        return f"{self.value:.3f}{between}"


@dataclass(frozen=True)
class Watching:
    """How scores that came true are measured."""

    measuring: Measuring
    policy: Quality
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Model → the score from which on it decides as positive, where that is not a half."""
    version: str = ""
    """The version of the code that measures."""


def watching_of(site: Site, label: Label, model: Model, policy: Quality, version: str = "") -> Watching:
    """Return how a product's scores are measured: as its candidates are, by the slices that its monitors declare."""
    measuring = replace(measuring_of(site, label, model, []), slices=policy.by, confidence=policy.confidence)
    return Watching(measuring, policy, _thresholds(site, model), version)


def realized_by_day(rows: pa.Table, how: Watching, before: pa.Table | None = None) -> list[Realized]:
    """Return for each day the quality of the model that scored it last, over the window that ends there.

    All rows first, then the slices. Only the model's own scores count: those of two models on one scale would measure
    neither. What `before`, the table as it was, says of the same labelled scores stays as it is.
    """
    days = rows[DAY].to_pylist()
    last = dict(zip(days, rows[MODEL].to_pylist(), strict=True))
    known = _by_state(before)
    found: list[Realized] = []
    for day, model in last.items():
        own = _window(rows, day, model, how.policy)
        found += _realized(
            own, how, Realized(day, model, own.num_rows, None, state=_state(own, how, day, model)), known
        )
    return found


def quality_table(days: Sequence[Realized]) -> pa.Table:
    """Return the rows of monitoring/quality."""
    return pa.Table.from_pylist([asdict(day) for day in days], schema=REALIZED)


def realized_by_month(rows: pa.Table, label: Label) -> dict[str, Measured]:
    """Return the quality of each local month, whichever models were live; none where the label is a number."""
    if not rows.num_rows:
        return {}
    if not is_binary(rows[label.column]):
        return {}
    months = pc.strftime(rows[DAY], format="%Y-%m").to_pylist()
    return by_value(months, rows[label.column].to_numpy(), rows[SCORE].to_numpy())


def live_quality(days: Sequence[Realized], live: Release, metric: str = "auc") -> Realized | None:
    """Return the newest value of the live model's metric on all rows; None while no label is known of what it scored."""
    own = (day for day in reversed(days) if (day.model, day.metric, day.by) == (live.model, metric, ""))
    return next(own, None)


def newest_of(days: Sequence[Realized], live: Release) -> list[Realized]:
    """Return all that is measured of the live model on its newest day."""
    own = [day for day in days if day.model == live.model]
    return [day for day in own if day.day == own[-1].day]


def quality_words(found: Realized | None, policy: Quality, newest: Sequence[Realized] = ()) -> str:
    """Return the verdict on the live model's quality as a sentence, and where among `newest` a slice is worst."""
    if found is None:
        return "labels of what the live model scored are not known yet"
    if found.value is None:
        return found.note
    worst = "".join(f"; worst by {by}: {_worst(newest, policy, by)}" for by in policy.by if _worst(newest, policy, by))
    return (
        f"{policy.metric} is {found.said}, {policy.limits_said}, on {found.rows:,} labels of "
        f"{duration_text(policy.window)} to {found.day}{worst}"
    )


def _worst(newest: Sequence[Realized], policy: Quality, by: str) -> str:
    parts = [day for day in newest if (day.metric, day.by) == (policy.metric, by) and day.value is not None]
    side = -1 if policy.metric in BETTER_LOW else 1
    worst = min(parts, key=lambda day: side * (day.value or 0), default=None)
    return f"{worst.part} {worst.said} on {worst.rows:,}" if worst else ""


def _window(rows: pa.Table, day: date, model: str, policy: Quality) -> pa.Table:
    first = pa.scalar(window_start(day, policy.window))
    in_window = pc.and_(pc.greater_equal(rows[DAY], first), pc.less_equal(rows[DAY], pa.scalar(day)))
    return rows.filter(pc.and_(in_window, pc.equal(rows[MODEL], model)))


def _realized(
    own: pa.Table, how: Watching, empty: Realized, known: Mapping[str, Sequence[Realized]]
) -> Sequence[Realized]:
    """Return every metric of one window, of all rows and by slice; one row without a value where there is none."""
    metric, label = how.policy.metric, how.measuring.label
    if own.num_rows < LEAST_ROWS:
        few = f"{own.num_rows} labels are too few, fewer than {LEAST_ROWS}"
        return [replace(empty, metric=metric, note=few)]
    if empty.state in known:
        return known[empty.state]
    classes = how.measuring.aim.task == "classification"
    if classes and not is_binary(own[label.column]):
        what = f"an {metric.upper()} needs labels of 0 and 1, and {label.column} is a number"
        return [replace(empty, metric=metric, note=what)]
    answers = pc.min_max(own[label.column]).as_py()
    if classes and answers["min"] == answers["max"]:
        one = f"all {own.num_rows} labels are {answers['min']}: one class only"
        return [replace(empty, metric=metric, note=one)]
    return list(_measured(own, how, empty))


def _measured(own: pa.Table, how: Watching, empty: Realized) -> Iterator[Realized]:
    aim = how.measuring.aim
    decision = replace(aim.decision, threshold=how.thresholds.get(empty.model, HALF))
    sampling = sample(own, own[SCORE].to_numpy(), replace(how.measuring, aim=replace(aim, decision=decision)))
    for (by, part), sampled in sampling.parts.items():
        measured = sampled.measured(how.policy.confidence)
        few = f"{sampled.rows} labels are too few, fewer than {LEAST_ROWS}" if sampled.rows < LEAST_ROWS else ""
        of = replace(empty, by=by, part=part, rows=sampled.rows)
        if few or not measured.metrics:
            yield replace(of, metric=how.policy.metric, note=few or measured.note)
            continue
        for metric, value in measured.metrics.items():
            low, high = measured.intervals.get(metric, (None, None))
            yield replace(of, metric=metric, value=value, low=low, high=high)


def _state(own: pa.Table, how: Watching, day: date, model: str) -> str:
    """Return a digest of what is measured, and how."""
    threshold = how.thresholds.get(model, HALF)
    said = [rows_digest(own), day, model, threshold, how.measuring, how.policy.window, how.version]
    return sha256("|".join(map(str, said)).encode()).hexdigest()[:16]


def _by_state(before: pa.Table | None) -> dict[str, list[Realized]]:
    found: dict[str, list[Realized]] = {}
    if before is not None and before.schema.names == REALIZED.names:
        for row in before.to_pylist():
            found.setdefault(row["state"], []).append(Realized(**row))
    return found


def _thresholds(site: Site, model: Model) -> dict[str, float]:
    """Return the threshold of each model that has scored and is still there, where it learned one."""
    table = site.product.table("predictions", "batch")
    if model.task != "classification" or not site.tables.exists(table):
        return {}
    models = pc.unique(site.tables.read(table, columns=[MODEL])[MODEL]).to_pylist()
    learned = {digest: load_meta(site.models, digest).tuned for digest in models if site.models.exists(digest)}
    found = {digest: load_predictor(site.models, digest).tuned.threshold for digest, tuned in learned.items() if tuned}
    return {digest: threshold for digest, threshold in found.items() if threshold is not None}


def is_binary(labels: pa.ChunkedArray) -> bool:
    """Return whether labels are nothing but 0 and 1."""
    return bool(pc.all(pc.is_in(labels.cast(pa.float64()), pa.array([0.0, 1.0]))).as_py())
