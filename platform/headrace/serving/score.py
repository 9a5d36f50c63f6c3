"""Batch scores: each row is scored once, by the model that was live then, and kept with what the model saw."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days, local_day
from headrace.core.errors import Refused
from headrace.features.declaration import Label
from headrace.features.training import Features, request_rows
from headrace.models.predict import MODEL, RELEASE, SCORE, load_meta, load_predictor, score_rows
from headrace.store.releases import Release
from headrace.store.site import Site


@dataclass(frozen=True)
class Scored:
    """The scores of some days: those that were there, and the new ones."""

    rows: pa.Table
    new: int
    live: Release


def score_days(site: Site, features: Features, label: Label, days: Days) -> Scored:
    """Return the scores of all rows whose prediction time lies in `days`; rows that were scored before stay as they are.

    Rows whose prediction time is still to come are left for a later run: by then more may be known of them. Rows that the live model was trained on are left out: their scores would look better than the model is.
    """
    live = site.releases.live(site.product.product)
    if live is None:
        raise Refused("No model is live yet: nothing can be scored. Train and release one first.")
    requests = request_rows(site, features, label, days)
    before = _scored_before(site, days)
    if before is not None:
        requests = requests.filter(pc.invert(pc.is_in(requests[label.entity], before[label.entity])))
    predictor = load_predictor(site.models, live.model)
    due = pc.less_equal(requests[label.time], pa.scalar(site.clock.now(), pa.timestamp("us", "UTC")))
    requests = requests.filter(pc.and_(due, pc.greater(requests[label.time], _trained_to(site, live))))
    kept = dict.fromkeys([label.entity, label.time, *(i.name for i in predictor.inputs)])
    scores = score_rows(requests, predictor)
    added = _labelled(site, requests.select(list(kept)), label, scores, live)
    rows = pa.concat_tables([before, added], promote_options="permissive") if before is not None else added
    return Scored(rows.sort_by([(label.time, "ascending"), (label.entity, "ascending")]), added.num_rows, live)


def _trained_to(site: Site, live: Release) -> pa.Scalar:
    """Return the newest prediction time that the model was trained on: of those it knows the answers."""
    return pa.scalar(load_meta(site.models, live.model).train_to, pa.timestamp("us", "UTC"))


def _scored_before(site: Site, days: Days) -> pa.Table | None:
    table = site.product.table("predictions", "batch")
    return site.tables.read(table, days=days) if site.tables.exists(table) else None


def _labelled(site: Site, rows: pa.Table, label: Label, scores: Any, live: Release) -> pa.Table:
    days = [local_day(moment, site.product.timezone) for moment in rows[label.time].to_pylist()]
    count = rows.num_rows
    columns = {
        SCORE: pa.array(scores, pa.float64()),
        MODEL: pa.array([live.model] * count, pa.string()),
        RELEASE: pa.array([live.number] * count, pa.int64()),
        "_day": pa.array(days, pa.date32()),
    }
    for name, values in columns.items():
        rows = rows.append_column(name, values)
    return rows
