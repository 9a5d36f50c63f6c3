"""The point-in-time join: to each row what was known at its own moment, and nothing later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import polars as pl
import pyarrow as pa

from headrace.core.clock import MINUTE
from headrace.core.errors import DataError
from headrace.features.totals import divided

ROW, MOMENT = "_row_of_table", "_moment_of_table"


@dataclass(frozen=True)
class FeatureTable:
    """A feature table as the join sees it. Without `time` its rows hold for all time."""

    name: str
    rows: pa.Table
    entities: Sequence[str]
    time: str | None = "time"
    ttl: timedelta | None = None
    age: bool = False
    since: Mapping[str, str] = field(default_factory=dict)
    """Columns of instants, and the columns of minutes from them to a request's own moment that take their places."""
    zeros: Sequence[str] = ()
    """Columns in which no row means zero: nothing has ever happened."""


def join_features(requests: pa.Table, time: str, tables: Sequence[FeatureTable]) -> pa.Table:
    """Return the requests in their order, each with the newest feature rows at or before its `time`.

    A feature row older than its table's ttl counts as missing, as does one for a null entity.
    No request is lost or doubled. Raises DataError where the requests lack a table's entity, or hold another type of it.
    Method: as-of join, backward (polars), of keys and times alone; values are fetched by the rows that it finds.
    """
    frame = _frame(requests)
    in_time = frame[time].arg_sort()
    orders = in_time, _inverse(in_time)
    for table in tables:
        for column in _columns(frame, time, orders, table):
            requests = requests.append_column(column.name, column.to_arrow(compat_level=pl.CompatLevel.oldest()))
    return requests


def _columns(
    requests: pl.DataFrame, time: str, orders: tuple[pl.Series, pl.Series], table: FeatureTable
) -> Iterator[pl.Series]:
    """Yield the columns that a table adds, one value a request; `orders` bring requests into that of time, and back."""
    in_time, as_asked = orders
    features = _frame(table.rows)
    keys = [_as_requested(features, key, requests, table.name) for key in table.entities]
    places = features.select(keys).with_row_index(ROW)
    if table.time is None:
        found = _of_all_time(requests, places, table)
    else:
        found = _as_of(
            requests.select(time, *table.entities)[in_time],
            places.with_columns(features[table.time].alias(MOMENT)),
            table,
        )
        found = found.gather(as_asked)
    for column in features.columns:
        if column not in (*table.entities, table.time, "_day"):
            values = features[column].gather(found)
            if column in table.since:
                minutes = divided((requests[time] - values).dt.total_microseconds(), MINUTE)
                yield minutes.alias(table.since[column])
            else:
                yield values.fill_null(0) if column in table.zeros else values
    if table.age and table.time:
        age = requests[time] - features[table.time].gather(found)
        yield divided(age.dt.total_seconds(), 60.0).alias(f"{table.name}_age_minutes")


def _as_of(requests: pl.DataFrame, places: pl.DataFrame, table: FeatureTable) -> pl.Series:
    """Return for each request, in the order of time, the row that held then; null where none did."""
    time = requests.columns[0]
    joined = requests.join_asof(
        places.sort(MOMENT, maintain_order=True),
        left_on=time,
        right_on=MOMENT,
        by=list(table.entities),
        strategy="backward",
        tolerance=table.ttl,
        coalesce=False,
        check_sortedness=False,
    )
    return joined[ROW]


def _of_all_time(requests: pl.DataFrame, places: pl.DataFrame, table: FeatureTable) -> pl.Series:
    keys = list(table.entities)
    joined = requests.select(keys).join(places, on=keys, how="left", nulls_equal=False, maintain_order="left")
    if joined.height != requests.height:
        raise DataError(
            f"The point-in-time join made {joined.height} rows of {requests.height}: feature table '{table.name}' has doubles."
        )
    return joined[ROW]


def _inverse(order: pl.Series) -> pl.Series:
    """Return the order that undoes an order; numpy needs a tenth of the time of another sort."""
    back = np.empty(len(order), np.uint32)
    back[order.to_numpy()] = np.arange(len(order), dtype=np.uint32)
    return pl.Series(back)


def _as_requested(features: pl.DataFrame, key: str, requests: pl.DataFrame, table: str) -> pl.Series:
    """Return a table's entity column in the type that the requests have it in."""
    if key not in requests.columns:
        raise DataError(
            f"Feature table '{table}' is joined by '{key}', which the rows to predict do not have; they have "
            f"{requests.columns}. "
            "Select it in the label's SQL."
        )
    theirs = requests.schema[key]
    try:
        return features[key].cast(theirs)
    except pl.exceptions.InvalidOperationError:
        raise DataError(
            f"Feature table '{table}' is joined by '{key}', which is {features.schema[key]} there but {theirs} in the rows "
            "to predict: cast it in the label's SQL."
        ) from None


def _frame(rows: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    return frame
