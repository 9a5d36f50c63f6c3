"""Measures what knowing that nothing has changed costs: a plan, and a run that makes nothing, on a year of flights.

Usage: python -m benchmarks.plan [rounds]. The median counts; Dagster's own start is measured beside it.
"""

import statistics
import sys
import tempfile
from datetime import date
from pathlib import Path

from benchmarks.__main__ import timed
from benchmarks.project import FIRST, flights_project

LAST = date(2013, 12, 31)
PLAN_S, RUN_S = 2.0, 5.0


def main(rounds: int) -> None:
    """Print the medians and whether the limits hold."""
    with tempfile.TemporaryDirectory() as folder:
        project = flights_project(Path(folder) / "year", LAST)
        dagster = [sys.executable, "-m", "dagster", "asset"]
        here = ["-m", "definitions", "-d", "platform"]
        select = ["--select", '+key:"flight_delays/model/champion"', "--partition-range", f"{FIRST}...{LAST}"]
        first = timed([*dagster, "materialize", *here, *select], project.root, project.root)
        commands = {
            "plan": [sys.executable, "-m", "headrace.cli", "plan", "flight_delays"],
            "a run that makes nothing": [*dagster, "materialize", *here, *select],
            "Dagster's own start": [*dagster, "list", *here],
        }
        took = {name: [timed(c, project.root, project.root) for _ in range(rounds)] for name, c in commands.items()}
    print(f"a year of flights, 365 days, first run {first:.1f} s; median of {rounds}")
    found = {name: statistics.median(times) for name, times in took.items()}
    for name, seconds in found.items():
        print(f"  {name:<26} {seconds:5.2f} s")
    for name, limit in (("plan", PLAN_S), ("a run that makes nothing", RUN_S)):
        print(f"  {'holds' if found[name] < limit else 'FAILS'}: {name} under {limit:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
