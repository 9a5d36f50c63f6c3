"""Measures windows of a week over 3.4 M flights against pandas, a new day against all days, and ten times the rows.

Usage: python -m benchmarks.windows [rounds]     rolling 7 days by carrier and origin: count, sum and mean
       python -m benchmarks.windows all          every aggregation, each alone
       python -m benchmarks.windows day          one new day of a year, against the year
       python -m benchmarks.windows curve        0.3 M, 3.4 M and 10 M rows
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import polars as pl
import pyarrow as pa

from benchmarks.validate import flights
from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.features.compute import feature_rows
from headrace.features.declaration import Aggregation, Feature, Windows
from headrace.features.join import FeatureTable, join_features
from headrace.features.steps import step_function
from headrace.features.windows import EVENTS, events_sql, zero_columns
from headrace.sources.declaration import Source
from headrace.store.engine import query_rows
from headrace.store.site import Site

FACTOR, DAY_SHARE, GROWTH = 1.5, 0.10, 11.0
SOURCE = Source(files="landing/*.csv", time="sched_dep", partition="day")
YEAR = Days(date(2013, 1, 1), date(2013, 12, 31))


def windows(*agg: str) -> Windows:
    """Return a week of departure delays by carrier and origin."""
    return Windows.model_validate(
        {
            "from": "flights",
            "entity": ["carrier", "origin"],
            "time": "sched_dep",
            "of": {"delay": "dep_delay > 15" if "share" in agg else "dep_delay"},
            "agg": agg,
            "over": ["7d"],
        }
    )


def departures() -> pa.Table:
    """Return the flights of 2013 ten times, each year after the one before, by time; spread over their hours' minutes."""
    minutes = pl.duration(minutes=pl.int_range(pl.len()) % 60)
    frame = pl.DataFrame(flights()).select("carrier", "origin", pl.col("sched_dep") + minutes, "dep_delay")
    rows = frame.sort("sched_dep").to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = [(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in rows.schema]
    return rows.cast(pa.schema(plain))


def by_headrace(rows: pa.Table, *agg: str) -> pa.Table:
    """Return the table of windows: what holds from each instant on, of events coming and going."""
    week = windows(*(agg or ("count", "sum", "mean")))
    return step_function("week", week, query_rows(events_sql(week, SOURCE, None), {EVENTS: rows}), None)


def by_pandas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return count, sum and mean of the week before each flight; the rows are in order of time."""
    rolling = rows.set_index("sched_dep").groupby(["carrier", "origin"])["dep_delay"].rolling("7D")
    return pd.DataFrame({"count": rolling.count(), "sum": rolling.sum(), "mean": rolling.mean()})


def timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    """Return the seconds of a piece of work, and what it makes."""
    started = time.perf_counter()
    made = work(*given)
    return time.perf_counter() - started, made


def speed(rounds: int) -> bool:
    """Print the medians, and return whether the limit holds and both ways agree."""
    rows = departures()
    frame = rows.to_pandas()
    ours, theirs, joining = [], [], []
    for _ in range(rounds):
        seconds, steps = timed(by_headrace, rows)
        ours.append(seconds)
        seconds, rolled = timed(by_pandas, frame)
        theirs.append(seconds)
        seconds, joined = timed(_as_of_each, rows, steps)
        joining.append(seconds)
    apart = _apart(joined, rolled)
    headrace, pandas, join = map(statistics.median, (ours, theirs, joining))
    print(f"{rows.num_rows:,} flights, 7 days by carrier and origin: count, sum, mean; median of {rounds}")
    print(f"  headrace: {steps.num_rows:,} changes    {headrace:6.2f} s, and their join to each flight {join:.2f} s")
    print(f"  pandas: groupby().rolling('7D')  {pandas:6.2f} s, on rows in order")
    print(f"  means differ by {apart:.1e} at most")
    return _said(headrace <= FACTOR * pandas, f"{headrace / pandas:.2f} times pandas (limit {FACTOR})")


def _as_of_each(rows: pa.Table, steps: pa.Table) -> pa.Table:
    zeros = zero_columns("week", windows("count", "sum", "mean"))
    return join_features(rows, "sched_dep", [FeatureTable("week", steps, ["carrier", "origin"], zeros=zeros)])


def _apart(joined: pa.Table, rolled: pd.DataFrame) -> float:
    """Return how far the means lie apart, of the last flight of each minute: pandas knows those of one minute one by one."""
    keys = ["carrier", "origin", "sched_dep"]
    theirs = pl.DataFrame(rolled.reset_index()).with_columns(pl.col("sched_dep").dt.cast_time_unit("us"))
    mine = pl.DataFrame(joined).unique(keys, keep="last")
    both = mine.join(theirs.unique(keys, keep="last", maintain_order=True), on=keys)
    assert both.height == mine.height
    wanted = both["mean"].fill_nan(None)
    apart = both["week_delay_mean_7d"] - wanted
    assert apart.null_count() == wanted.null_count()
    return float(apart.drop_nulls().abs().to_numpy().max())


def each_alone() -> bool:
    """Print the seconds of each aggregation alone."""
    rows = departures()
    print(f"{rows.num_rows:,} flights, 7 days by carrier and origin, each aggregation alone")
    for agg in get_args(Aggregation):
        seconds, steps = timed(by_headrace, rows, agg)
        print(f"  {agg:<10} {seconds:6.2f} s, {steps.num_rows:,} changes")
    seconds, _ = timed(by_headrace, rows, *(agg for agg in get_args(Aggregation) if agg != "share"))
    print(f"  all at once {seconds:5.2f} s")
    return True


def one_day(events: int) -> bool:
    """Print what a new day takes against all of a year, each flight `events` times, both with the write."""
    flown = pl.DataFrame(departures()).filter(pl.col("sched_dep").dt.year() == YEAR.first.year)
    year = pl.concat([flown.with_columns(pl.col("sched_dep").dt.offset_by(f"{i}s")) for i in range(events)])
    feature = Feature(windows=windows("count", "sum", "mean"))
    with tempfile.TemporaryDirectory() as folder:
        product = Identity(product="air", start=YEAR.first, end=YEAR.last + timedelta(days=1))
        site = Site(product, Path(folder), Place.at(Path(folder)))
        table = site.product.table("features", "week")
        stored = year.with_columns(_day=pl.col("sched_dep").dt.date())
        _write(site, site.product.table("validated", "flights"), stored.to_arrow(compat_level=pl.CompatLevel.oldest()))

        def make(days: Days) -> None:
            made = feature_rows(site, "week", feature, {"flights": SOURCE}, days)
            site.tables.replace(table, made, days=days)

        def anew(days: Days) -> float:
            """Return the seconds that days take which the table does not have."""
            site.tables.replace(table, site.tables.read(table, days=days).slice(0, 0), days=days)
            return timed(make, days)[0]

        make(YEAR)
        all_days = statistics.median(anew(YEAR) for _ in range(5))
        new_day = statistics.median(anew(Days(YEAR.last, YEAR.last)) for _ in range(5))
    print(f"{year.height:,} flights of one year: all days {all_days:.2f} s, the last day {new_day:.3f} s; medians of 5")
    return _said(new_day <= DAY_SHARE * all_days, f"{new_day / all_days:.1%} of all days (limit {DAY_SHARE:.0%})")


def _write(site: Site, table: str, rows: pa.Table) -> None:
    plain = [(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in rows.schema]
    site.tables.replace(table, rows.cast(pa.schema(plain)), days=YEAR)


def curve() -> bool:
    """Print the seconds at 0.3 M, 3.4 M and 10 M rows, and whether ten times the rows take at most eleven times the time."""
    most = pl.DataFrame(departures())
    small = most.filter(pl.col("sched_dep").dt.year() == YEAR.first.year)
    thrice = pl.concat([most.with_columns(pl.col("sched_dep").dt.offset_by(f"{i * 3650}d")) for i in range(3)])
    sizes = [small, most, thrice.head(10_000_000)]
    took = []
    for frame in sizes:
        rows = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        took.append(statistics.median(timed(by_headrace, rows)[0] for _ in range(3)))
        print(f"  {frame.height:>10,} rows {took[-1]:6.2f} s")
    return _said(took[1] <= GROWTH * took[0], f"ten times the rows take {took[1] / took[0]:.1f} times the time")


def _said(holds: bool, what: str) -> bool:
    print(f"  {'holds' if holds else 'FAILS'}: {what}")
    return holds


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["all"]:
            each_alone()
        case ["day"]:
            one_day(1)
            one_day(10)
        case ["curve"]:
            curve()
        case rest:
            speed(int(rest[0]) if rest else 5)
