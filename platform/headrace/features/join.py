"""The point-in-time join: to each row what was known at its own moment, and nothing later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import polars as pl
import pyarrow as pa

from headrace.core.errors import DataError

REQUEST = "_request"
"""The number of a request among those that are joined at once."""
MINUTE = 60e6
"""In microseconds."""


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
    Method: as-of join, backward (polars).
    """
    frame = _frame(requests).with_row_index(REQUEST)
    joined = frame.sort(time, REQUEST)
    for table in tables:
        joined = _join(joined, time, table)
    ordered = joined.sort(REQUEST).drop(REQUEST)
    if ordered.height != requests.num_rows:
        raise DataError(
            f"The point-in-time join made {ordered.height} rows of {requests.num_rows}: a feature table has doubles."
        )
    return ordered.to_arrow(compat_level=pl.CompatLevel.oldest())


def _join(requests: pl.DataFrame, time: str, table: FeatureTable) -> pl.DataFrame:
    features = _frame(table.rows).drop("_day", strict=False)
    keys = list(table.entities)
    features = features.with_columns(_as_requested(features, key, requests, table.name) for key in keys)
    if table.time is None:
        return requests.join(features, on=keys, how="left", nulls_equal=False, maintain_order="left")
    moment = f"_{table.name}_time"
    joined = requests.join_asof(
        features.rename({table.time: moment}).sort(moment),
        left_on=time,
        right_on=moment,
        by=keys,
        strategy="backward",
        tolerance=table.ttl,
        coalesce=False,
        check_sortedness=False,
    )
    if table.age:
        age = (pl.col(time) - pl.col(moment)).dt.total_seconds() / 60
        joined = joined.with_columns(age.alias(f"{table.name}_age_minutes"))
    minutes = [((pl.col(time) - pl.col(c)).dt.total_microseconds() / MINUTE).alias(c) for c in table.since]
    zeros = [pl.col(c).fill_null(0) for c in table.zeros]
    return joined.drop(moment).with_columns(*minutes, *zeros).rename(dict(table.since))


def _as_requested(features: pl.DataFrame, key: str, requests: pl.DataFrame, table: str) -> pl.Series:
    """Return a table's entity column in the type that the requests have it in."""
    if key not in requests.columns:
        asked = [column for column in requests.columns if column != REQUEST]
        raise DataError(
            f"Feature table '{table}' is joined by '{key}', which the rows to predict do not have; they have {asked}. "
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
