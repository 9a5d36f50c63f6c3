"""Measures the product's run through Dagster against a plain script of the same functions, in the same run.

Usage: python -m benchmarks [rounds]. Each round is a fresh project; the median counts.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.project import FIRST, LAST, flights_project
from headrace.project import Project

ROOT = Path(__file__).parents[1]
FACTOR, EXTRA_S, MOST_S, MOST_GIB = 1.3, 15.0, 120.0, 2.5


def timed(command: list[str], cwd: Path, project: Path) -> float:
    """Return the wall seconds of a command."""
    os.environ.pop("DAGSTER_HOME", None)
    Project(project).instance_home()
    paths = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    environment = {**os.environ, "PYTHONPATH": paths}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    if "benchmarks.plain" in command:
        print(done.stdout, end="")
    return took


def through_dagster(root: Path) -> float:
    """Return the seconds of one run of Dagster's own command, its start included."""
    project = flights_project(root)
    select = ["--select", '+key:"flight_delays/model/champion"', "--partition-range", f"{FIRST}...{LAST}"]
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "definitions", "-d", "platform", *select]
    return timed(command, project.root, project.root)


def plainly(root: Path) -> float:
    """Return the seconds of the plain script, its start included."""
    project = flights_project(root)
    return timed([sys.executable, "-m", "benchmarks.plain", str(project.root)], ROOT, project.root)


def main(rounds: int) -> None:
    """Print the medians, the ratio and whether the limits hold."""
    plain, dagster = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            plain.append(plainly(Path(folder) / "plain"))
            dagster.append(through_dagster(Path(folder) / "dagster"))
        print(f"  round {number + 1}: plain {plain[-1]:.1f} s, through Dagster {dagster[-1]:.1f} s", flush=True)
    p, d = statistics.median(plain), statistics.median(dagster)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    limit = FACTOR * p + EXTRA_S
    print(f"\neight months of flights, from landed files to a released model, median of {rounds}")
    print(f"  plain script      {p:6.1f} s")
    print(
        f"  through Dagster   {d:6.1f} s   ({d / p:.2f} times; limit {FACTOR} times and {EXTRA_S:.0f} s: {limit:.1f} s)"
    )
    print(f"  peak memory       {peak:6.2f} GiB (limit {MOST_GIB})")
    for held, what in ((d <= limit, "overhead"), (d <= MOST_S, f"under {MOST_S:.0f} s"), (peak <= MOST_GIB, "memory")):
        print(f"  {'holds' if held else 'FAILS'}: {what}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
