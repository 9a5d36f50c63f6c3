"""Measures how much memory a table of windows and a training set take that are larger than what the product may take.

Usage: python -m benchmarks.spill [copies of 3.4 M flights] [memory]
"""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from benchmarks.validate import flights
from headrace.core.days import Days
from headrace.core.declaration import Identity
from headrace.core.names import memory_bytes
from headrace.core.place import Place
from headrace.features.compute import feature_rows
from headrace.features.declaration import Feature, Label
from headrace.features.training import training_rows
from headrace.sources.declaration import Source
from headrace.store.site import Site

DAYS = Days(date(2013, 1, 1), date(2022, 12, 31))
AGGREGATIONS = ["count", "sum", "mean", "std", "min", "max"]
FEATURES = {
    "week": Feature.model_validate({"windows": {"from": "flights", "entity": ["carrier", "origin"], "time": "sched_dep", "of": {"delay": "dep_delay", "late": "dep_delay > 15"}, "agg": AGGREGATIONS, "over": ["1d", "7d"]}}),
    "ever": Feature.model_validate({"sql": "ever.sql", "entity": ["carrier", "dest"], "time": "sched_dep"}),
}  # fmt: skip
SOURCES = {"flights": Source(files="landing/*.csv", time="sched_dep", partition="day")}
LABEL = Label.model_validate({"sql": "label.sql", "entity": "flight_id", "time": "sched_dep", "column": "late", "known_after": "1d"})  # fmt: skip
SQL = {
    "ever.sql": "select carrier, dest, sched_dep, arr_delay, distance from flights",
    "label.sql": "select flight_id, sched_dep, carrier, origin, dest, dep_delay > 15 as late from flights",
}
OPEN_MIB = 512
"""What the libraries take before any row is read, and what they keep for themselves."""


def site_of(folder: Path, memory: str) -> Site:
    """Return the site of a product that may take so much memory."""
    return Site(
        Identity(product="air", start=DAYS.first, end=DAYS.last, memory=memory, clock="wall"), folder, Place.at(folder)
    )


def prepare(folder: Path, copies: int) -> int:
    """Write the validated flights, as many copies of them, and the SQL; return how many rows there are."""
    for name, text in SQL.items():
        (folder / name).write_text(text)
    one = pl.DataFrame(flights()).with_row_index("n")
    rows = pl.concat([one.with_columns(carrier=pl.col("carrier") + str(copy)) for copy in range(copies)])
    rows = rows.with_row_index("row").with_columns(flight_id=pl.format("f{}", "row")).drop("n", "row")
    site = site_of(folder, "64GiB")
    site.tables.replace(
        "air/validated/flights",
        rows.with_columns(_day=pl.col("sched_dep").dt.date()).to_arrow(compat_level=pl.CompatLevel.oldest()),
    )
    return rows.height


class Watch:
    """The most memory of this process that is not the page cache's, looked at every 10 ms."""

    def __init__(self) -> None:
        self.peak, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.01):
            self.peak = max(self.peak, anonymous_mib())

    def stop(self) -> float:
        """Return the peak in MiB."""
        self._over.set()
        self._thread.join()
        return self.peak


def anonymous_mib() -> float:
    """Return the memory that this process holds and that no file backs."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("RssAnon")).split()[1]) / 1024


def make(folder: Path, memory: str) -> None:
    """Make both tables and the training set, each as its asset does, and print for each: rows, MiB, seconds, peak."""
    site = site_of(folder, memory)
    for name, feature in FEATURES.items():
        _told(site, f"features/{name}", partial(feature_rows, site, name, feature, SOURCES, DAYS))
    _told(site, "training/set", lambda: training_rows(site, FEATURES, LABEL))


def _told(site: Site, table: str, made: Callable[[], pa.Table]) -> None:
    watch, started = Watch(), time.perf_counter()
    rows = made()
    site.tables.replace(f"air/{table}", rows)
    print(table, rows.num_rows, rows.nbytes >> 20, round(time.perf_counter() - started, 1), round(watch.stop()))


def compare(copies: int, memory: str) -> None:
    """Print what each step takes within the memory and without a limit, and whether the limit held."""
    most = memory_bytes(memory) / 1024**2 + OPEN_MIB
    with tempfile.TemporaryDirectory() as folder:
        rows = prepare(Path(folder), copies)
        print(f"{rows:,} flights, `memory: {memory}` against no limit; the peak is of what no file backs")
        took = {}
        for limit in (memory, "64GiB"):
            command = [sys.executable, "-m", "benchmarks.spill", "child", folder, limit]
            told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
            took[limit] = [line.split() for line in told]
            for layer in ("features", "training"):
                shutil.rmtree(Path(folder, ".headrace", "tables", "air", layer))
    for ours, free in zip(took[memory], took["64GiB"], strict=True):
        table, count, size, seconds, peak = ours
        print(
            f"  {table:<14} {int(count):>11,} rows {int(size):>6,} MiB  {seconds:>6} s, {peak:>5} MiB at most"
            f"   without: {free[3]:>6} s, {free[4]:>5} MiB"
        )
    worst = max(float(line[4]) for line in took[memory])
    print(
        f"  {'holds' if worst <= most else 'FAILS'}: {worst:.0f} MiB at most (limit {most:.0f}: the memory and {OPEN_MIB} MiB)"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["child", folder, memory]:
            make(Path(folder), memory)
        case rest:
            compare(int(rest[0]) if rest else 3, rest[1] if rest[1:] else "2GiB")
