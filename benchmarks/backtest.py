"""Measures how long a back-test of the flights of 2013 takes, and prints what came of each policy.

Usage: python -m benchmarks.backtest [exact]. The year is landed and made once; the time is that of the command alone, its start included.
"""

import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.__main__ import timed
from benchmarks.project import FIRST, flights_project

LAST, MOST_S = date(2013, 12, 31), 300.0
POLICIES = ("never", "weekly", "drift", "quality")


def main(*more: str) -> None:
    """Print the table, the seconds, and whether the limit holds."""
    with tempfile.TemporaryDirectory() as folder:
        project = flights_project(Path(folder), LAST)
        select = ["--select", '+key:"flight_delays/training/set"', "--partition-range", f"{FIRST}...{LAST}"]
        make = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "definitions", "-d", "platform", *select]
        made = timed(make, project.root, project.root)
        print(f"made the tables of 2013 in {made:.0f} s", flush=True)
        words = [word for policy in POLICIES for word in ("--policy", policy)]
        command = [sys.executable, "-m", "headrace.cli", "backtest", "flight_delays", *words, *more]
        began = time.perf_counter()
        done = subprocess.run(
            command, cwd=project.root, env=dict(os.environ), stdout=subprocess.PIPE, text=True, check=False
        )
        took = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"the back-test failed:\n{done.stdout[-3000:]}")
    print(done.stdout)
    print(f"  {'holds' if took <= MOST_S else 'FAILS'}: {took:.0f} s, limit {MOST_S:.0f} s")


if __name__ == "__main__":
    main(*(["--exact"] if "exact" in sys.argv[1:] else []))
