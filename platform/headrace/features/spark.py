"""Feature tables, label rows and the point-in-time join on Spark: the same rows as the local engine makes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from headrace.core.days import Days
from headrace.core.names import quoted, quoted_text
from headrace.core.sql import Statement
from headrace.features.declaration import Feature, Windows
from headrace.features.join import FeatureTable
from headrace.features.join import join_features as join_locally
from headrace.features.spark_windows import PICKED, Emission, seen_sql, windows_sql
from headrace.features.steps import INSTANT
from headrace.features.windows import EVENTS, instant, outputs
from headrace.sources.declaration import Source
from headrace.store.engine import TableView
from headrace.store.site import Site
from headrace.store.spark import Spark, as_shaped, spark_name
from headrace.store.tables import DAY

ROW, MOMENT = "_row", "_moment"


@dataclass(frozen=True)
class SqlTable:
    """A feature table in SQL."""

    name: str
    feature: Feature
    statement: Statement

    @property
    def keys(self) -> list[str]:
        """The columns that every row needs: entities, and the time where it has one."""
        return [*self.feature.entities, *([self.feature.time] if self.feature.time else [])]


def window_rows(site: Site, name: str, windows: Windows, source: Source, days: Days | None) -> pa.Table:
    """Return the step function of windows, with the day of each step."""
    assert site.spark
    span = days.instants(site.product.timezone) if days else None
    views = {EVENTS: TableView(site.product.table("validated", windows.source))}
    sql, origin = seen_sql(windows, source, span), f"features.{name}"
    seen = site.spark.shape(sql, views, origin=origin)
    carried = site.spark.carry(sql, views, origin=origin)
    emission = Emission(name, windows, carried, seen, site.product.timezone, span)
    rows = site.spark.run(windows_sql(emission), views, origin=origin)
    return as_shaped(rows, windows_shape(name, windows, seen), origin)


def windows_shape(name: str, windows: Windows, seen: pa.Schema) -> pa.Schema:
    """Return the columns and types that the step function has, `seen` being those of `seen_sql`."""
    kinds = {"count": pa.int64(), "distinct": pa.int64(), "since": INSTANT}
    made = [
        (o.stored, seen.field(f"_value{o.value}").type if o.agg in PICKED else kinds.get(o.agg, pa.float64()))
        for o in outputs(name, windows)
    ]
    keys = [(key, seen.field(n).type) for n, key in enumerate(windows.entities)]
    return pa.schema([*keys, ("time", INSTANT), *made, (DAY, pa.date32())])


def sql_rows(site: Site, table: SqlTable, views: Mapping[str, TableView], days: Days | None) -> pa.Table:
    """Return the rows of a feature table in SQL."""
    assert site.spark
    origin, timezone = table.statement.origin, site.product.timezone
    columns = site.spark.shape(table.statement.text, views, origin=origin).names
    sql = table_sql(table, columns, timezone, days.instants(timezone) if days else None)
    return site.spark.query(sql, views, origin=origin)


def table_sql(table: SqlTable, columns: Sequence[str], timezone: str, span: tuple[datetime, datetime] | None) -> str:
    """Return SQL in DuckDB's dialect for a feature table: as `compute.table_sql` says it, with every column named."""
    name, time, keys = table.name, table.feature.time, ", ".join(map(quoted, table.feature.entities))
    own = {column.lower() for column in table.keys}
    made = "".join(f", {quoted(c)} as {quoted(f'{name}_{c}')}" for c in columns if c.lower() not in own)
    present = [f"{quoted(column)} is not null" for column in table.keys]
    each, order = keys, keys
    if time:
        at = f"cast({quoted(time)} as timestamptz)"
        if span:
            present += [f"{quoted(time)} >= {instant(span[0])}", f"{quoted(time)} < {instant(span[1])}"]
        day = f"cast(timezone({quoted_text(timezone)}, {at}) as date) as {DAY}"
        made, each, order = f', {at} as "time"{made}, {day}', f"{keys}, {quoted(time)}", f"{at}, {keys}"
    least = ", ".join(f"{quoted(column)} nulls last" for column in columns)
    return (
        f"select {keys}{made} from ({table.statement.text}\n) as made where {' and '.join(present)} "
        f"qualify row_number() over (partition by {each} order by {least}) = 1 order by {order}"
    )


def join_features(
    spark: Spark, requests: pa.Table, time: str, tables: Sequence[FeatureTable], views: Mapping[str, TableView]
) -> pa.Table:
    """Return the requests in their order, each with the newest feature rows at or before its `time`.

    `tables` say what is joined, their `rows` being empty; the rows are those of `views`, by the table's name. Method:
    requests and feature rows in one list, the newest moment of an entity so far, and the row of that moment by equality.
    """
    shape = join_locally(requests.slice(0, 0), time, tables).schema
    keys = sorted({key for table in tables for key in table.entities})
    numbered = requests.select([time, *(key for key in keys if key != time)]).append_column(
        ROW, pa.array(range(requests.num_rows), pa.int64())
    )
    asked: dict[str, TableView | pa.Table] = {"requests": numbered}
    asked |= {f"table{n}": views[table.name] for n, table in enumerate(tables)}
    rows = spark.run(_join_sql(time, tables), asked, origin="the point-in-time join")
    added = pa.schema([shape.field(n) for n in range(requests.num_columns, len(shape))])
    for column, field in zip(
        as_shaped(rows.drop_columns([ROW]), added, "the point-in-time join").columns, added, strict=True
    ):
        requests = requests.append_column(field, column)
    return requests


def _join_sql(time: str, tables: Sequence[FeatureTable]) -> str:
    parts = [f"found{n} as ({_found(n, table, time)})" for n, table in enumerate(tables)]
    columns = "".join(f", {column}" for n, table in enumerate(tables) for column in _added(n, table))
    joins = " ".join(f"left join found{n} on found{n}.{ROW} = requests.{ROW}" for n in range(len(tables)))
    return f"with {', '.join(parts)} select requests.{ROW}{columns} from requests {joins} order by requests.{ROW}"


def _found(n: int, table: FeatureTable, time: str) -> str:
    """Return SQL for the feature row of each request that has one, and what its age is."""
    keys = [spark_name(key) for key in table.entities]
    mine = ", ".join(keys)
    same = " and ".join(f"f.{key} = r.{key}" for key in keys)
    values = "".join(f", {sql} as _v{i}" for i, (sql, _) in enumerate(_values(table)))
    if table.time is None:
        return f"select r.{ROW}{values} from requests as r join table{n} as f on {same}"
    at, stamp = spark_name(time), spark_name(table.time)
    present = " and ".join(f"{key} is not null" for key in keys)
    near = (
        f" and f.{stamp} >= r._at - interval '{table.ttl.total_seconds():.6f}' second" if table.ttl is not None else ""
    )
    return (
        f"select r.{ROW}{values} from (select {mine}, {ROW}, _at, max({MOMENT}) over (partition by {mine} order by _at) as {MOMENT} "
        f"from (select {mine}, {at} as _at, {ROW}, cast(null as timestamp) as {MOMENT} from requests where {present} "
        f"union all select {mine}, {stamp}, cast(null as bigint), {stamp} from table{n})) as r "
        f"join table{n} as f on {same} and f.{stamp} = r.{MOMENT}{near} where r.{ROW} is not null"
    )


def _values(table: FeatureTable) -> Iterator[tuple[str, str]]:
    """Yield what each column that a table adds is made of, and its name."""
    at = "r._at"
    for column in table.rows.column_names:
        if column in (*table.entities, table.time, DAY):
            continue
        if column in table.since:
            yield f"(unix_micros({at}) - unix_micros(f.{spark_name(column)})) / 60e6D", column
        else:
            yield f"f.{spark_name(column)}", column
    if table.age and table.time:
        yield f"((unix_micros({at}) - unix_micros(f.{spark_name(table.time)})) div 1000000L) / 60D", ""


def _added(n: int, table: FeatureTable) -> Iterator[str]:
    for i, (_, column) in enumerate(_values(table)):
        value = f"found{n}._v{i}"
        yield f"coalesce({value}, 0) as _{n}_{i}" if column in table.zeros else f"{value} as _{n}_{i}"
