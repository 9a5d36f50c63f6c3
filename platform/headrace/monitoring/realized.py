"""Scores that came true: of whole days and of what was served one by one, with the labels that are known by now."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.errors import DeclarationError
from headrace.core.names import did_you_mean
from headrace.features.declaration import Label
from headrace.features.training import known_by, label_rows
from headrace.models.predict import MODEL, SCORE
from headrace.monitoring.served import served_days, served_truth
from headrace.store.site import Site
from headrace.store.tables import DAY


def realized_rows(site: Site, label: Label, by: Sequence[str] = ()) -> pa.Table:
    """Return every score whose label is known by now, ordered by time: entity, time, score, model, day, label, and `by`.

    Scores of whole days and those that were served one by one; of a row that has both, by entity and time, the served one.
    Raises DeclarationError for a column of `by` that neither the scored rows nor the label's SQL have.
    """
    key = [label.entity, label.time]
    columns = list(dict.fromkeys([*key, SCORE, MODEL, DAY, label.column, *by]))
    scores, served = _batch(site, [name for name in columns if name != label.column]), served_days(site)
    spans = [served.widened(1, 1)] if served else []
    if scores is not None and scores.num_rows:
        span = pc.min_max(scores[DAY]).as_py()
        spans.append(Days(span["min"], span["max"]))
    if not spans:
        return pa.table({name: [] for name in columns})
    days = Days(min(span.first for span in spans), max(span.last for span in spans))
    labels = known_by(label_rows(site, label, days), label, site.clock.now())
    found = []
    if served:
        found.append(_with_all(served_truth(site, label, labels, by), columns))
    if scores is not None:
        more = [name for name in by if name not in scores.column_names]
        _refuse_unknown(more, [*scores.column_names, *labels.column_names])
        scores = scores.join(labels.select([label.entity, label.column, *more]), label.entity, join_type="inner")
        told = scores.join(found[0].select(key), key, join_type="left anti") if served else scores
        found.append(told.select(columns))
    rows = pa.concat_tables(found, promote_options="permissive")
    return rows.sort_by([(label.time, "ascending"), (label.entity, "ascending")])


def _batch(site: Site, columns: Sequence[str]) -> pa.Table | None:
    """Return those columns of the scored days that they have; None before any day is scored."""
    table = site.product.table("predictions", "batch")
    if not site.tables.exists(table):
        return None
    there = site.tables.schema(table).names
    return site.tables.read(table, columns=[name for name in columns if name in there])


def _with_all(rows: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return rows with all columns: what was never served is unknown."""
    for name in columns:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows))
    return rows.select(list(columns))


def _refuse_unknown(columns: Sequence[str], known: Sequence[str]) -> None:
    for name in columns:
        if name not in known:
            raise DeclarationError(
                f"`by` names '{name}', which neither the scored rows nor the label's SQL have.{did_you_mean(name, known)}",
                ("monitors", "quality", "by"),
            )
