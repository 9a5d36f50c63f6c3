"""What is known of the live model: its scored days as profiles, and how its scores came true."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import DAY, Days, local_day, whole_days
from headrace.core.names import duration_text
from headrace.features.declaration import Label
from headrace.features.training import known_by, label_rows
from headrace.models.encode import Input
from headrace.models.evaluate import LEAST_ROWS, Measured, by_value, measure
from headrace.models.predict import MODEL, SCORE
from headrace.models.profile import Profile, profile_of
from headrace.models.train import Meta
from headrace.monitoring.declaration import Drift, Quality
from headrace.monitoring.drift import Moved, drift_by_day, window_start
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY as DAY_COLUMN

SCORE_INPUT = Input(name=SCORE, kind="numeric")


@dataclass(frozen=True)
class Realized:
    """The quality of the scores of the window that ends on a day."""

    day: date
    measured: Measured


def live_drift(site: Site, live: Release, policy: Drift) -> list[Moved]:
    """Return the drift of each scored day since the release, at least of the newest one; none where nothing is scored."""
    newest = newest_scored_day(site)
    if newest is None:
        return []
    first = min(newest, local_day(live.at, site.product.timezone))
    span = Days(window_start(first, policy.window), newest)
    rows = site.tables.read(site.product.table("predictions", "batch"), days=span)
    reference = site.models.recorded(live.model, "profile")
    meta = Meta.model_validate_json(site.models.get(live.model, "meta.json"))
    assert reference is not None
    profiles = {day: _profile(_of_day(rows, day), meta, live, reference) for day in span}
    present = {day: profile for day, profile in profiles.items() if profile}
    return [moved for moved in drift_by_day(present, reference, policy) if moved.day >= first]


def newest_scored_day(site: Site) -> date | None:
    """Return the last day that has scores."""
    table = site.product.table("predictions", "batch")
    if not site.tables.exists(table):
        return None
    newest: date | None = pc.max(site.tables.read(table, columns=[DAY_COLUMN])[DAY_COLUMN]).as_py()
    return newest


def realized_rows(site: Site, label: Label) -> pa.Table:
    """Return every score whose label is known by now: entity, time, score, model, label, day."""
    table = site.product.table("predictions", "batch")
    columns = [label.entity, label.time, SCORE, MODEL, DAY_COLUMN]
    scores = site.tables.read(table, columns=columns) if site.tables.exists(table) else None
    if scores is None or not scores.num_rows:
        return pa.table({name: [] for name in [*columns, label.column]})
    span = pc.min_max(scores[DAY_COLUMN]).as_py()
    labels = known_by(label_rows(site, label, Days(span["min"], span["max"])), label, site.clock.now())
    return scores.join(labels.select([label.entity, label.column]), label.entity, join_type="inner").sort_by(
        [(label.time, "ascending"), (label.entity, "ascending")]
    )


def realized_by_day(rows: pa.Table, label: Label, policy: Quality) -> list[Realized]:
    """Return the quality over the window that ends on each day."""
    back = whole_days(policy.window) - 1
    days = pc.unique(rows[DAY_COLUMN]).to_pylist()
    return [Realized(day, measured_rows(_between(rows, day - DAY * back, day), label)) for day in sorted(days)]


def realized_by_month(rows: pa.Table, label: Label) -> dict[str, Measured]:
    """Return the quality of each local month."""
    if not rows.num_rows:
        return {}
    months = [f"{day:%Y-%m}" for day in rows[DAY_COLUMN].to_pylist()]
    return by_value(months, rows[label.column].to_numpy(), rows[SCORE].to_numpy())


def measured_rows(rows: pa.Table, label: Label) -> Measured:
    """Return the metrics of scored rows; none, with the reason, where there are too few."""
    if rows.num_rows < LEAST_ROWS:
        return Measured(rows=rows.num_rows, positives=0, metrics={}, note=f"only {rows.num_rows} labels are known yet")
    return measure(rows[label.column].to_numpy(), rows[SCORE].to_numpy())


def live_quality(rows: pa.Table, label: Label, live: Release, policy: Quality) -> Measured:
    """Return how the live model's own scores of the last window came true."""
    own = rows.filter(pc.equal(rows[MODEL], live.model)) if rows.num_rows else rows
    if not own.num_rows:
        return Measured(
            rows=0, positives=0, metrics={}, note=f"no label is known yet of what release {live.number} scored"
        )
    newest = pc.max(own[DAY_COLUMN]).as_py()
    return measured_rows(_between(own, window_start(newest, policy.window), newest), label)


def quality_words(measured: Measured, policy: Quality) -> str:
    """Return the verdict on the live model's quality as a sentence."""
    value = measured.metrics.get(policy.metric)
    if value is None:
        return measured.note
    side = "at least" if value >= policy.floor else "below"
    return f"{policy.metric} is {value:.3f}, {side} {policy.floor:g}, on {measured.rows:,} labels of {duration_text(policy.window)}"


def _between(rows: pa.Table, first: date, last: date) -> pa.Table:
    return rows.filter(
        pc.and_(pc.greater_equal(rows[DAY_COLUMN], pa.scalar(first)), pc.less_equal(rows[DAY_COLUMN], pa.scalar(last)))
    )


def _of_day(rows: pa.Table, day: date) -> pa.Table:
    return rows.filter(pc.equal(rows[DAY_COLUMN], pa.scalar(day)))


def _profile(rows: pa.Table, meta: Meta, live: Release, reference: Profile) -> Profile:
    """Return the profile of a day: of the features of all its rows, of the scores that the live model gave."""
    if not rows.num_rows:
        return {}
    known: Sequence[Input] = [i for i in meta.inputs if i.name in rows.column_names]
    profile = profile_of(rows, known, reference)
    own = rows.filter(pc.equal(rows[MODEL], live.model))
    return profile | profile_of(own, [SCORE_INPUT], reference) if own.num_rows else profile
