"""Measures the point-in-time join of 3.4 M label rows with two feature tables against hand-written joins, in one run.

Usage: python -m benchmarks.join [rounds]       the speed, the median counts
       python -m benchmarks.join memory         the most memory that our own join takes, in a process of its own
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.validate import flights, peak_mib
from headrace.features.join import FeatureTable, join_features

FACTOR, MOST_MIB, YEARS, TTL = 1.5, 3072, 10, timedelta(days=7)
Rows = tuple[pa.Table, pa.Table, pa.Table]


def tables() -> Rows:
    """Return the label rows, in no order, hourly weather of three airports, and a row each 84 h of each route."""
    label = flights().select(["flight_id", "sched_dep", "carrier", "origin", "dest"])
    label = label.take(pc.array_sort_indices(pc.random(label.num_rows, initializer=7)))
    first = pc.min(label["sched_dep"]).as_py()
    airports, routes = pl.DataFrame({"origin": ["EWR", "JFK", "LGA"]}), pl.DataFrame(label).select("carrier", "dest")
    weather = _feature_rows(airports, first, timedelta(hours=1), "weather")
    return label, weather, _feature_rows(routes.unique(maintain_order=True), first, timedelta(hours=84), "route")


def _feature_rows(entities: pl.DataFrame, first: datetime, every: timedelta, name: str) -> pa.Table:
    moments = pl.datetime_range(first, first + timedelta(days=365 * YEARS), every, time_unit="us", eager=True).alias(
        "time"
    )
    rows = entities.join(moments.to_frame(), how="cross").sort("time")
    values = {f"{name}_{n}": pl.Series(range(rows.height)).shuffle(seed=n).cast(pl.Float64) for n in range(5)}
    return rows.with_columns(**values).to_arrow(compat_level=pl.CompatLevel.oldest())


def by_headrace(rows: Rows) -> pa.Table:
    """Return the label rows in their order, each with the newest row of either table at its moment."""
    label, weather, route = rows
    features = [
        FeatureTable("weather", weather, ["origin"], ttl=TTL),
        FeatureTable("route", route, ["carrier", "dest"]),
    ]
    return join_features(label, "sched_dep", features)


def by_polars(rows: Rows) -> pa.Table:
    """Return the same by hand, in the order of time."""
    label, weather, route = map(pl.DataFrame, rows)
    joined = label.sort("sched_dep")
    for features, keys, ttl in ((weather, ["origin"], TTL), (route, ["carrier", "dest"], None)):
        joined = joined.join_asof(
            features, left_on="sched_dep", right_on="time", by=keys, tolerance=ttl, check_sortedness=False
        )
        joined = joined.drop("time", strict=False)
    return joined.to_arrow()


def by_duckdb(rows: Rows) -> pa.Table:
    """Return the same by two ASOF joins, in any order."""
    with duckdb.connect() as connection:
        for name, table in zip(("label", "weather", "route"), rows, strict=True):
            connection.register(f"{name}_rows", table)
            connection.execute(f"create table {name} as from {name}_rows")
        return connection.execute(f"""
            select label.*, weather.* exclude (origin, time) replace (
                {", ".join(f"case when sched_dep - weather.time <= interval 7 day then weather_{n} end as weather_{n}" for n in range(5))}
              ), route.* exclude (carrier, dest, time)
            from label
            asof left join weather on label.origin = weather.origin and label.sched_dep >= weather.time
            asof left join route on label.carrier = route.carrier and label.dest = route.dest and label.sched_dep >= route.time
            """).to_arrow_table()


def by_pandas(rows: Rows) -> pa.Table:
    """Return the same by two merges, in the order of time."""
    label, weather, route = (table.to_pandas() for table in rows)
    joined = label.sort_values("sched_dep")
    for features, keys, ttl in ((weather, ["origin"], TTL), (route, ["carrier", "dest"], None)):
        joined = pd.merge_asof(joined, features, left_on="sched_dep", right_on="time", by=keys, tolerance=ttl)
        joined = joined.drop(columns="time")
    return pa.Table.from_pandas(joined)


def speed(rounds: int) -> None:
    """Print the medians and whether the limit holds; all ways must say the same."""
    rows = tables()
    ways: dict[str, Callable[[Rows], pa.Table]] = {
        "headrace": by_headrace,
        "polars by hand": by_polars,
        "DuckDB by hand": by_duckdb,
        "pandas by hand": by_pandas,
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        sums = set()
        for name, way in ways.items():
            started = time.perf_counter()
            made = way(rows)
            took[name].append(time.perf_counter() - started)
            sums.add(
                (
                    made.num_rows,
                    *(pc.sum(made[f"{table}_{n}"]).as_py() for table in ("weather", "route") for n in range(5)),
                )
            )
            del made
        assert len(sums) == 1, sums
    median = {name: statistics.median(seconds) for name, seconds in took.items()}
    ours, fastest = median["headrace"], min(seconds for name, seconds in median.items() if name != "headrace")
    sizes = ", ".join(f"{table.num_rows:,}" for table in rows)
    print(f"label rows, weather, routes: {sizes}; Arrow in, Arrow out; median of {rounds}")
    for name, seconds in median.items():
        print(f"  {name:<16} {seconds:6.2f} s")
    print(
        f"  {'holds' if ours <= FACTOR * fastest else 'FAILS'}: {ours / fastest:.2f} times the fastest (limit {FACTOR})"
    )


def memory() -> None:
    """Print the most memory of a process that makes the tables and joins them once."""
    command = [sys.executable, "-m", "benchmarks.join", "child"]
    before, peak = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    print(
        f"  {'holds' if peak <= MOST_MIB else 'FAILS'}: {peak:.0f} MiB at most, {before:.0f} with the tables alone (limit {MOST_MIB})"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["child"]:
            rows, before = tables(), peak_mib()
            by_headrace(rows)
            print(before, peak_mib())
        case ["memory"]:
            memory()
        case rest:
            speed(int(rest[0]) if rest else 5)
            memory()
