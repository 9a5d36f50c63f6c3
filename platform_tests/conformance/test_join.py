"""The point-in-time join on Spark: the very rows, in the very order, that the local engine makes."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.errors import DataError
from headrace.features.join import FeatureTable, join_features
from headrace.features.spark import join_features as join_on_spark
from headrace.store.engine import TableView
from platform_tests.conformance.both import Both, differing
from platform_tests.features.airline import NOON

STAMP = pa.timestamp("us", "UTC")
REQUESTS = pa.schema([("id", pa.string()), ("origin", pa.string()), ("gate", pa.int64()), ("at", STAMP)])
STORED = pa.schema(
    [
        ("origin", pa.string()),
        ("gate", pa.int64()),
        ("time", STAMP),
        ("x", pa.float64()),
        ("n", pa.int64()),
        ("word", pa.string()),
        ("yes", pa.bool_()),
        ("newest", STAMP),
        ("_day", pa.date32()),
    ]
)


def _moment(chance: Random) -> Any:
    return NOON + timedelta(minutes=chance.randint(0, 40) * 7, microseconds=chance.choice([0, 0, 1, -1]))


def requests(seed: int = 1, rows: int = 400) -> pa.Table:
    chance = Random(seed)
    made = [
        {"id": str(n), "origin": chance.choice(["EWR", "JFK", "LGA", None]), "gate": chance.choice([1, 2, None])}
        | {"at": _moment(chance)}
        for n in range(rows)
    ]
    return pa.Table.from_pylist(made, schema=REQUESTS)


def stored(seed: int = 2, rows: int = 150) -> pa.Table:
    chance, made = Random(seed), {}
    for _ in range(rows):
        row: dict[str, Any] = {
            "origin": chance.choice(["EWR", "JFK"]),
            "gate": chance.choice([1, 2]),
            "time": _moment(chance),
        }
        row |= {
            "x": chance.choice([None, 0.1, -0.0, 1e300]),
            "n": chance.choice([None, 1, 2]),
            "word": chance.choice(["a", None]),
        }
        row |= {"yes": chance.choice([True, None]), "newest": row["time"] - timedelta(seconds=chance.randint(0, 999))}
        made[(row["origin"], row["gate"], row["time"])] = row | {"_day": row["time"].date()}
    return pa.Table.from_pylist(list(made.values()), schema=STORED)


def tables() -> list[FeatureTable]:
    rows, both_keys = stored(), ["origin", "gate"]
    newest = {row["origin"]: row for row in rows.sort_by("time").to_pylist()}
    by_origin = pa.Table.from_pylist(list(newest.values()), schema=STORED).drop_columns(
        ["gate", "time", "_day", "newest"]
    )
    named = [name for name in STORED.names if name not in (*both_keys, "time", "_day")]

    def called(name: str, table: pa.Table) -> pa.Table:
        return table.rename_columns([f"{name}_{c}" if c in named else c for c in table.column_names])

    return [
        FeatureTable("plain", called("plain", rows), both_keys),
        FeatureTable("short", called("short", rows), both_keys, ttl=timedelta(minutes=30), age=True),
        FeatureTable("since", called("since", rows), both_keys, since={"since_newest": "since_minutes"}),
        FeatureTable("zeros", called("zeros", rows), both_keys, zeros=["zeros_x", "zeros_n"]),
        FeatureTable("fixed", called("fixed", by_origin), ["origin"], time=None),
        FeatureTable("empty", called("empty", rows.slice(0, 0)), both_keys, age=True),
    ]


def on_spark(both: Both, asked: pa.Table, joined: list[FeatureTable]) -> pa.Table:
    views: dict[str, TableView] = {table.name: table.rows for table in joined}
    empty = [replace(table, rows=table.rows.slice(0, 0)) for table in joined]
    return join_on_spark(both.spark, asked, "at", empty, views)


@pytest.mark.slow
def test_the_join_on_spark_is_that_of_the_local_engine_row_by_row(both: Both) -> None:
    asked = requests()
    local, spark = join_features(asked, "at", tables()), on_spark(both, asked, tables())
    assert spark["id"].to_pylist() == asked["id"].to_pylist()
    assert not differing(local, spark)
    assert local["plain_x"].null_count < local.num_rows


@pytest.mark.slow
def test_no_request_asks_for_nothing(both: Both) -> None:
    asked = requests(rows=0)
    assert not differing(join_features(asked, "at", tables()), on_spark(both, asked, tables()))


@pytest.mark.slow
def test_a_request_without_the_entity_is_refused_in_the_same_words(both: Both) -> None:
    asked = requests().drop_columns(["gate"])
    with pytest.raises(DataError, match="is joined by 'gate', which the rows to predict do not have"):
        on_spark(both, asked, tables())
