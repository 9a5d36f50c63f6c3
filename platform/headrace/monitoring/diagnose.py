"""The live model's drift, explained from the rows that were scored and those that it was trained on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import DAY, Days
from headrace.core.errors import Refused, StoreError
from headrace.explain.explanation import recorded_explanation
from headrace.features.graph import Graph
from headrace.models.meta import Meta, load_meta
from headrace.models.origin import origin_of
from headrace.models.predict import MODEL, load_predictor
from headrace.models.split import unseen_by
from headrace.monitoring.bins import codes_of
from headrace.monitoring.cause import Cause, Causes
from headrace.monitoring.causes import Compared, Explained, explained
from headrace.monitoring.declaration import Drift
from headrace.monitoring.drift import Moved, window_start
from headrace.monitoring.effect import ScoredRows, expected_effect
from headrace.monitoring.slices import Searched
from headrace.monitoring.upstream import origins_of, upstream_of
from headrace.store.releases import Release
from headrace.store.site import Site
from headrace.store.tables import DAY as TABLE_DAY

SEARCHED = 40_000
"""How many rows of a side are looked at, evenly over them."""
DAYS_BACK = 28
"""How many days before the window are asked when a cause began."""


@dataclass(frozen=True)
class _Asked:
    """A live model that is asked why its columns moved, with rows of the training set that it was made from."""

    site: Site
    graph: Graph
    model: str
    meta: Meta
    known: pa.Table


def diagnosed(site: Site, graph: Graph, live: Release, now: Sequence[Moved], policy: Drift) -> Causes:
    """Return why the live model's columns moved over the window that ends with the newest measured day.

    `now` is what was measured of that day. Where the training set can no longer be read, no cause is named, and `note` says so.
    """
    day = now[0].day
    first = window_start(day, policy.window)
    alarms = [
        str(m) for m in sorted(now, key=lambda m: -m.value / m.limit) if m.alarms and m.column not in policy.ignore
    ]
    told = Causes(model=live.model, day=day, first=first, alarms=alarms, causes=[])
    try:
        asked = _Asked(site, graph, live.model, load_meta(site.models, live.model), _trained_on(site, live.model))
    except StoreError as error:
        return told.model_copy(update={"note": f"no cause can be looked for: {error}"})
    if all(one.name in policy.ignore for one in asked.meta.inputs):
        return told.model_copy(update={"note": "no cause can be looked for: every feature is ignored"})
    compared = _compared(asked, Days(first, day), policy)
    if compared is None:
        return told.model_copy(update={"note": "no row of the window or of the training set can be compared"})
    return told.model_copy(update={"causes": list(_completed(asked, compared, explained(compared)))})


def _trained_on(site: Site, model: str) -> pa.Table:
    """Return rows of the training set that a model was trained on, those of its test among them, evenly over them."""
    own = [one for one in site.models.trainings(model) if one["product"] == site.product.product]
    if not own:
        raise StoreError(f"nobody has written down which training set model {model[:12]} was trained on")
    table, version = own[-1]["table"], own[-1]["version"]
    count = site.tables.versions(table)[version].rows
    return _evenly(site.tables.scan(table, version=version), count, 2 * SEARCHED)


def _compared(asked: _Asked, window: Days, policy: Drift) -> Compared | None:
    site, meta, times = asked.site, asked.meta, asked.known[asked.meta.time]
    span = [pa.scalar(moment, times.type) for moment in (meta.train_from, meta.train_to)]
    before = asked.known.filter(pc.and_(pc.greater_equal(times, span[0]), pc.less_equal(times, span[1])))
    before = before.take(pa.array(_places(before.num_rows, SEARCHED)))
    after = _scored(asked, window)
    earlier = _scored(asked, Days(window.first - DAY * DAYS_BACK, window.first - DAY))
    if not (before.num_rows and after.num_rows):
        return None
    return Compared(
        before=before,
        after=after,
        days=_days_since(after, window.first),
        first=window.first,
        inputs=[one for one in meta.inputs if one.name not in policy.ignore],
        limit=policy.psi,
        importance=importance_of(site, asked.model),
        origins=origins_of(site, asked.graph),
        earlier=earlier,
        days_before=-_days_since(earlier, window.first),
    )


def _scored(asked: _Asked, days: Days) -> pa.Table:
    """Return scored rows of some days, evenly over them: of the model, and of others with the same inputs."""
    site, table = asked.site, asked.site.product.table("predictions", "batch")
    count = site.tables.read(table, days=days, columns=[TABLE_DAY]).num_rows
    rows = _evenly(site.tables.scan(table, days=days), count, SEARCHED)
    wanted = {(one.name, one.kind) for one in asked.meta.inputs}
    scored_by = pc.unique(rows[MODEL]).to_pylist()
    alike = [one for one in scored_by if one == asked.model or _inputs(site, one) >= wanted]
    return rows.filter(pc.is_in(rows[MODEL], pa.array(alike, pa.string())))


def _inputs(site: Site, model: str) -> set[tuple[str, str]]:
    known = load_meta(site.models, model).inputs if site.models.exists(model) else []
    return {(one.name, one.kind) for one in known}


def importance_of(site: Site, model: str) -> dict[str, float]:
    """Return each input's share of what the model looks at: as it was explained, else what it gained by it in training."""
    try:
        explanation = recorded_explanation(site, model)
    except Refused:
        explanation = None
    if explanation:
        return {one.name: one.share for one in explanation.inputs}
    return dict((site.models.recorded(model, "importance") or {}).get("shares", []))


def _completed(asked: _Asked, compared: Compared, found: Explained) -> Iterator[Cause]:
    """Yield each cause with what brought it, and what it may do to the metric."""
    if not found.named:
        return
    columns, origin = found.columns, origin_of(asked.site, asked.model)
    before, after = (codes_of(rows, columns) for rows in (compared.before, compared.after))
    window = Searched(columns, before, after, compared.days, compared.limit)
    tested = _tested(asked, found)
    for one in found.named:
        day = None if one.cause.is_older else one.cause.since
        upstream = upstream_of(asked.site, asked.graph, one.cause.columns, day, origin)
        effect = expected_effect(tested, window, one.found) if tested else None
        yield one.cause.model_copy(update={"upstream": upstream, "effect": effect})


def _tested(asked: _Asked, found: Explained) -> ScoredRows | None:
    """Return the rows that the model was not trained on, scored by it; None where there are none."""
    label = asked.graph.label
    assert label
    predictor = load_predictor(asked.site.models, asked.model)
    rows = unseen_by([predictor.meta], asked.known, label)
    if not rows.num_rows:
        return None
    answers = rows[label.column].to_numpy().astype(float)
    task, quantile = predictor.meta.task, predictor.meta.quantile
    return ScoredRows(codes_of(rows, found.columns), predictor.predict(rows), answers, task, quantile)


def _days_since(rows: pa.Table, first: date) -> Any:
    days = rows[TABLE_DAY].cast(pa.int32()).to_numpy()
    return days.astype(np.int64) - pa.scalar(first, pa.date32()).cast(pa.int32()).as_py()


def _evenly(rows: pa.RecordBatchReader, count: int, most: int) -> pa.Table:
    """Return at most `most` of `count` rows, evenly over them, without holding more than those."""
    places, kept, seen = _places(count, most), [], 0
    for batch in rows:
        own = places[(places >= seen) & (places < seen + batch.num_rows)] - seen
        kept.append(batch.take(pa.array(own)))
        seen += batch.num_rows
    return pa.Table.from_batches(kept, rows.schema)


def _places(count: int, most: int) -> Any:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64) if count else np.zeros(0, dtype=np.int64)
