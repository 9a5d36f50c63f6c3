"""Label rows, and the training set: each with what was known at its own prediction time."""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.days import Days
from headrace.core.errors import DataError, NoRows
from headrace.core.names import quoted
from headrace.core.sql import Statement
from headrace.features import spark
from headrace.features.compute import source_views, sql_of
from headrace.features.declaration import Feature, Label
from headrace.features.join import join_features
from headrace.features.request import REQUEST, numbered_requests, request_sql, with_computed
from headrace.features.usable import as_joined, usable_tables, usable_views
from headrace.features.windows import instant
from headrace.store.engine import TableView
from headrace.store.site import Site

Features = Mapping[str, Feature]
VALUE_BYTES = 8
"""What a feature of a row weighs."""
SCORED = ("score", "model", "release", "feature_versions")
"""The columns that a score adds to its row: which score, by which model, of which release, from which versions of tables."""


def label_statement(site: Site, label: Label) -> Statement:
    """Return the SQL of the label rows, and where it stands."""
    return Statement(site.text(label.sql), str(site.folder / label.sql))


def label_rows(site: Site, label: Label, days: Days | None = None) -> pa.Table:
    """Return the rows to predict, ordered by time and entity; the label is a number, or null where it never will be known.

    What is true or false becomes 1 or 0 (int8); whole numbers are int64, others float64. With `days`, only the rows
    whose prediction time falls into these local days. Raises DataError for a label that is no number.
    """
    statement = label_statement(site, label)
    span = days.instants(site.product.timezone) if days else None
    time, entity = quoted(label.time), quoted(label.entity)
    during = f"where {time} >= {instant(span[0])} and {time} < {instant(span[1])}" if span else ""
    sql = (
        f"select * replace (cast({time} as timestamptz) as {time}) "
        f"from ({statement.text}\n) {during} order by {time}, {entity}"
    )
    rows = _asked(site, sql, source_views(site, statement.tables), statement.origin)
    _refuse_bad_labels(rows, label, statement.origin)
    kind = _label_type(rows.schema.field(label.column).type, label, statement.origin)
    number = rows.column_names.index(label.column)
    return rows.set_column(number, label.column, rows[label.column].cast(kind))


def _label_type(told: pa.DataType, label: Label, origin: str) -> pa.DataType:
    """Return the type that a label is kept in: the same for every engine, whatever values there are."""
    if pa.types.is_boolean(told):
        return pa.int8()
    if pa.types.is_integer(told) or pa.types.is_null(told):
        return pa.int64()
    if pa.types.is_floating(told) or pa.types.is_decimal(told):
        return pa.float64()
    raise DataError(
        f"{origin}: the label '{label.column}' is {told}: it must be true or false, 0 or 1, or a number. Make 0 or 1 of "
        f"one class, such as {label.column} = 'returned'."
    )


def labelled_by_day(site: Site, label: Label) -> dict[date, int]:
    """Return how many rows with a label there are of each day of UTC, whether or not they are known by now."""
    statement = label_statement(site, label)
    sql = (
        f"select cast(cast({quoted(label.time)} as timestamptz) at time zone 'UTC' as date) as day, count(*) as rows "
        f"from ({statement.text}\n) where {quoted(label.column)} is not null group by 1 order by 1"
    )
    counts = site.engine.query(sql, source_views(site, statement.tables), origin=statement.origin)
    return dict(zip(counts["day"].to_pylist(), counts["rows"].to_pylist(), strict=True))


def label_columns(site: Site, label: Label) -> list[str]:
    """Return the columns of the label's SQL."""
    statement = label_statement(site, label)
    empty = f"select * from ({statement.text}\n) limit 0"
    return list(site.engine.query(empty, source_views(site, statement.tables), origin=statement.origin).column_names)


def request_rows(site: Site, features: Features, label: Label, days: Days | None = None) -> pa.Table:
    """Return the label rows of some days with all features joined, as of each prediction time."""
    return with_features(site, features, label, label_rows(site, label, days))


def training_rows(site: Site, features: Features, label: Label) -> pa.Table:
    """Return the rows whose label is known by now, with all features: the training set in canonical order."""
    rows = known_by(label_rows(site, label), label, site.clock.now())
    if not rows.num_rows:
        raise NoRows(
            f"No label is known yet at {site.clock.now():%Y-%m-%d %H:%M} UTC: {label.sql} gives no row with a "
            f"label that is at least {label.known_after} old. Ingest more days, or look at the label's SQL."
        )
    return with_features(site, features, label, rows)


def known_by(rows: pa.Table, label: Label, now: datetime) -> pa.Table:
    """Return the rows whose label exists and is known at `now`."""
    latest = pa.scalar(now - label.known_after, pa.timestamp("us", "UTC"))
    return rows.filter(pc.and_(pc.is_valid(rows[label.column]), pc.less_equal(rows[label.time], latest)))


def with_features(site: Site, features: Features, label: Label, rows: pa.Table) -> pa.Table:
    """Return label rows with the features of every table joined, then those computed from the request itself."""
    return site.spill.concat(feature_pieces(site, features, label, rows))


def feature_pieces(site: Site, features: Features, label: Label, rows: pa.Table) -> Iterator[pa.Table]:
    """Yield label rows, which are in the order of time, with all features: piece by piece, at least one of them."""
    pieces = [rows] if site.spark else _pieces(site, features, rows)
    return (_with_features(site, features, label, piece) for piece in pieces)


def _with_features(site: Site, features: Features, label: Label, rows: pa.Table) -> pa.Table:
    bounds = pc.min_max(rows[label.time]).as_py()
    span = (bounds["min"], bounds["max"]) if rows.num_rows else None
    if site.spark:
        views = usable_views(site, features, span)
        empty = [as_joined(n, features[n], site.tables.schema(view.table).empty_table()) for n, view in views.items()]
        return with_requests(site, features, label, spark.join_features(site.spark, rows, label.time, empty, views))
    joined = join_features(rows, label.time, list(usable_tables(site, features, span)))
    return with_requests(site, features, label, joined)


def _pieces(site: Site, features: Features, rows: pa.Table) -> Iterator[pa.Table]:
    """Yield the rows, which are in the order of time, in pieces that with all features fill a quarter of the memory."""
    tables = [view.table for view in usable_views(site, features, None).values()]
    added = VALUE_BYTES * sum(len(site.tables.schema(table)) for table in tables)
    most = max(1, site.spill.most // max(1, added + rows.nbytes // max(1, rows.num_rows)))
    return (rows.slice(start, most) for start in range(0, max(1, rows.num_rows), most))


def _asked(site: Site, sql: str, views: Mapping[str, TableView | pa.Table], origin: str) -> pa.Table:
    """Return the rows of a statement in its own order, from wherever the product's engine is."""
    return (site.spark or site.engine).query(sql, views, origin=origin)


def with_requests(site: Site, features: Features, label: Label, joined: pa.Table) -> pa.Table:
    """Return rows with the columns that are computed from the request itself, table by table."""
    for name, feature in features.items():
        if feature.on_request:
            joined = on_request(site, name, feature, joined, label)
    return joined


def on_request(site: Site, name: str, feature: Feature, requests: pa.Table, label: Label) -> pa.Table:
    """Return the requests with the columns that a feature's SQL computes from each of them; the label is hidden.

    Columns of the request that the SQL only passes on, as `select *` does, are not added again.
    """
    statement = sql_of(site, feature)
    numbered = numbered_requests(requests, label.column)
    made = _asked(site, request_sql(statement), {"request": numbered}, statement.origin)
    return with_computed(name, statement, requests, numbered, made)


def _refuse_bad_labels(rows: pa.Table, label: Label, origin: str) -> None:
    missing = [c for c in (label.entity, label.time, label.column) if c not in rows.column_names]
    if missing:
        raise DataError(f"{origin}: the label rows lack {missing}; they have {rows.column_names}.")
    reserved = [c for c in rows.column_names if c in (*SCORED, REQUEST)]
    if reserved:
        raise DataError(f"{origin}: the label rows have {reserved}, which Headrace adds itself: give them other names.")
    if rows[label.time].null_count or rows[label.entity].null_count:
        raise DataError(f"{origin}: every label row needs '{label.entity}' and '{label.time}'; some are null.")
    if pc.count_distinct(rows[label.entity]).as_py() != rows.num_rows:
        raise DataError(f"{origin}: '{label.entity}' must name one row each; some name several.")
