"""A year of daily CSV files in one ingestion, against DuckDB's own read_csv of the same files and a Delta write.

Both read real flights as they landed, text as it stands, and leave a Delta table in month partitions.
Run: python -m benchmarks.ingest [rounds]
"""

import statistics
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb
from deltalake import write_deltalake

from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.demo.land import LAST, land
from headrace.sources.declaration import Source
from headrace.sources.ingest import ingest
from headrace.store.site import Site

SQL = """select *, timezone('America/New_York', make_timestamp(cast("year" as bigint), cast("month" as bigint),
  cast("day" as bigint), cast("hour" as bigint), cast("minute" as bigint), 0)) as sched_dep from landed"""
SOURCE = Source(files="landing/flights/*.csv", sql="flights.sql", time="sched_dep", partition="day", nulls=["", "NA"])
FACTOR = 2.0


def through_headrace(root: Path) -> float:
    """Return the seconds of one ingestion of all files into an empty table."""
    (root / "flights.sql").write_text(SQL)
    start = date(2013, 1, 1)
    identity = Identity(product="air", timezone="America/New_York", start=start, end=date(2014, 1, 1))
    site = Site(identity, root, Place(root, root / ".headrace"))
    began = time.perf_counter()
    found = ingest(site, "flights", SOURCE)
    took = time.perf_counter() - began
    assert len(found.files) == 365
    return took


def plainly(root: Path) -> float:
    """Return the seconds of DuckDB reading the same files as text, with file and day, and of writing them to Delta."""
    files = f"read_csv('{root}/landing/flights/*.csv', all_varchar = true, filename = true, nullstr = ['', 'NA'])"
    day = "strftime(make_date(cast(year as int), cast(month as int), cast(day as int)), '%Y-%m') as _month"
    began = time.perf_counter()
    with duckdb.connect() as connection:
        converted = SQL.replace("from landed", f", {day} from {files}")
        rows = connection.execute(converted).to_arrow_table()
    write_deltalake(str(root / "plain"), rows, partition_by=["_month"])
    return time.perf_counter() - began


def main(rounds: int) -> None:
    """Print the medians, the ratio and whether the limit holds."""
    plain, ours = list[float](), list[float]()
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            land(root / "landing", LAST)
            plain.append(plainly(root))
            ours.append(through_headrace(root))
        print(f"  round {number + 1}: DuckDB {plain[-1]:.2f} s, Headrace {ours[-1]:.2f} s", flush=True)
    p, o = statistics.median(plain), statistics.median(ours)
    print(f"\n365 files of flights in one ingestion, median of {rounds}")
    print(f"  DuckDB read_csv and a Delta write  {p:6.2f} s")
    print(f"  Headrace                           {o:6.2f} s   ({o / p:.2f} times; limit {FACTOR:.0f} times)")
    print(f"  {'holds' if o <= FACTOR * p else 'FAILS'}: ingestion")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
