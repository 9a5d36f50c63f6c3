"""Whether both engines make the same of the same data: every feature table of some days, and the rows to predict."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa

from headrace.core.columns import in_columns
from headrace.core.days import Days, last_whole_day, local_day
from headrace.core.errors import NoRows
from headrace.core.names import quoted
from headrace.features.carried import verify_carried
from headrace.features.compute import feature_rows, source_views
from headrace.features.declaration import Feature, Label
from headrace.features.graph import Graph
from headrace.features.shared import own_features
from headrace.features.training import label_rows, label_statement, request_rows
from headrace.store.site import Site

ROWS = 1000
"""Of the rows to predict, the newest."""
ROUNDING = 1e-12
"""How far doubles of a user's own SQL may lie apart, relative to them: sums depend on the order of addition on either engine."""


@dataclass(frozen=True)
class Compared:
    """One table as both engines make it."""

    table: str
    rows: int
    cells: int
    differing: int
    most: float
    """The greatest difference of two numbers in one cell."""
    example: str = ""
    """The first cell that differs, in words."""


def compare_engines(site: Site, graph: Graph, rows: int = ROWS) -> Iterator[Compared]:
    """Yield each feature table of the days of the newest `rows` rows to predict, then these rows, as both engines make them.

    Stored tables are read and none is written. Tables that a function in Python makes are made here on either engine.
    Raises DeclarationError where no cluster is named, and for SQL that Spark cannot be asked; TableMissing.
    """
    local, spark = (_on(site, engine) for engine in ("duckdb", "spark"))
    if spark.spark:
        verify_carried(spark, graph)
    days = _days(local, graph.label, rows) if site.product.start else None
    for name, feature in own_features(graph.features).items():
        if feature.windows or feature.sql:
            some = days if feature.timed else None
            made = [feature_rows(at, name, feature, graph.sources, some) for at in (local, spark)]
            yield compare(site.product.table("features", name), made[0], made[1], _rounding(feature))
    if graph.label:
        asked = [request_rows(at, graph.features, graph.label, days) for at in (local, spark)]
        newest = [table.slice(max(0, table.num_rows - rows)) for table in asked]
        yield compare(site.product.table("training", "set"), newest[0], newest[1], ROUNDING)


def compare(table: str, local: pa.Table, spark: pa.Table, rounding: float = 0.0) -> Compared:
    """Return in how many cells two tables differ; in all of them where rows, columns or types do."""
    cells = max(local.num_rows, spark.num_rows) * max(local.num_columns, spark.num_columns)
    if local.schema.names != spark.schema.names or local.schema.types != spark.schema.types:
        return Compared(table, local.num_rows, cells, cells, 0.0, f"columns {local.schema} are not {spark.schema}")
    if local.num_rows != spark.num_rows:
        what = f"{local.num_rows} rows of duckdb are {spark.num_rows} of spark"
        return Compared(table, local.num_rows, cells, max(cells, 1), 0.0, what)
    differing, most, example = 0, 0.0, ""
    for name in local.column_names:
        one, other = pl.Series(local[name]), pl.Series(spark[name])
        unlike = ~one.eq_missing(other)
        if one.dtype.is_float():
            apart = (one - other).abs()
            most = max(most, float(str(apart.filter(unlike & apart.is_finite()).max() or 0.0)))
            unlike &= ~(apart.is_finite() & (apart <= rounding * one.abs())).fill_null(value=False)
        places = unlike.arg_true()
        differing += len(places)
        if len(places) and not example:
            example = f"{name} of row {places[0]} is {one[places[0]]} of duckdb and {other[places[0]]} of spark"
    return Compared(table, local.num_rows, cells, differing, most, example)


def parity_text(compared: list[Compared]) -> str:
    """Return what was compared, table by table."""
    rows = [(c.table, c.rows, c.cells, c.differing, f"{c.most:.3g}") for c in compared]
    found = [f"{c.table}: {c.example}" for c in compared if c.differing]
    return "\n".join([in_columns(["table", "rows", "cells", "differing", "greatest difference"], rows), *found])


def _on(site: Site, engine: str) -> Site:
    return replace(site, product=site.product.model_copy(update={"engine": engine}))


def _rounding(feature: Feature) -> float:
    return 0.0 if feature.windows else ROUNDING


def _days(site: Site, label: Label | None, rows: int) -> Days:
    """Return the newest days that hold so many rows to predict, or all days; the last whole day where nothing is predicted."""
    if label is None:
        last = last_whole_day(site.clock.now(), site.product.timezone)
        return Days(last, last)
    last = local_day(_newest(site, label), site.product.timezone)
    start, back = site.product.start or last, 0
    while True:
        days = Days(max(min(start, last), last - timedelta(days=back)), last)
        if days.first <= start or label_rows(site, label, days).num_rows >= rows:
            return days
        back = back * 2 + 1


def _newest(site: Site, label: Label) -> datetime:
    statement = label_statement(site, label)
    sql = f"select max(cast({quoted(label.time)} as timestamptz)) as newest from ({statement.text}\n)"
    newest: datetime | None = site.engine.query(sql, source_views(site, statement.tables))["newest"][0].as_py()
    if newest is None:
        raise NoRows(f"{statement.origin} gives no row: there is nothing to compare the engines on.")
    return newest
