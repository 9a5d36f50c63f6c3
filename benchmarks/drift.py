"""Measures drift of 20 columns from profiles against Evidently, NannyML and a bare pass of numpy, in the same run.

Usage: python -m benchmarks.drift [rows=300000] [rounds=5] [rounds of peers=rounds]

Each column is normal, the window moved a little. `stored` is what a day costs: one side, over the bins of a reference that was
recorded before, with every measure. `both` makes the reference, too, as the peers do. The bare pass is numpy's search of each value
among 64 stored edges and a count. Evidently and NannyML run in environments of their own (make evidently nannyml); the time is that
of their calculation alone, after imports and after the rows have been read.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import feather

from headrace.models.meta import Input
from headrace.models.profile import Profile, profile_of
from headrace.monitoring.measures import measures_of

ROOT = Path(__file__).parents[1]
COLUMNS, EDGES = 20, 64
INPUTS = [Input(name=f"x{n}", kind="numeric") for n in range(COLUMNS)]
EVIDENTLY = """
from evidently import Report
from evidently.presets import DataDriftPreset
report = lambda: Report([DataDriftPreset()]).run(now, before).dict()
"""
NANNYML = """
import nannyml
columns = list(before.columns)
def report():
    made = nannyml.UnivariateDriftCalculator(column_names=columns, continuous_methods=["kolmogorov_smirnov"], chunk_number=1)
    return made.fit(before).calculate(now)
"""
ASKED = """
import sys, time, warnings
import pyarrow.feather as feather
warnings.simplefilter("ignore")
before, now = (feather.read_table(path).to_pandas() for path in sys.argv[1:3])
{report}
for _ in range(int(sys.argv[3])):
    began = time.perf_counter()
    report()
    print("took", time.perf_counter() - began, flush=True)
"""


def sample(rows: int, seed: int, shift: float) -> pa.Table:
    """Return rows of normal columns."""
    chance = np.random.default_rng(seed)
    return pa.table({column.name: chance.normal(shift, 1.0, rows) for column in INPUTS})


def measured(reference: Profile, now: pa.Table) -> int:
    """Profile the window over the bins of the reference, and take every measure of every column; return how many."""
    current = profile_of(now, INPUTS, reference)
    return sum(len(measures_of(reference[name], current[name])) for name in current)


def bare(edges: dict[str, np.ndarray], now: pa.Table) -> int:
    """Count each column between its edges, and nothing else."""
    counts = [np.bincount(np.searchsorted(own, now[name].to_numpy()), minlength=EDGES) for name, own in edges.items()]
    return len(counts)


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Return the median time of some rounds, behind one that does not count."""
    work()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def peer(name: str, report: str, paths: list[Path], rounds: int) -> float | None:
    """Return the median time of a peer in its own environment; None, said loudly, where that is not there."""
    python = ROOT / f".venv-{name}" / "bin" / "python"
    if not python.exists():
        print(f"  {name} IS NOT MEASURED: make {name}")
        return None
    command = [str(python), "-c", ASKED.format(report=report), *map(str, paths), str(rounds)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return statistics.median(float(line.split()[1]) for line in said.splitlines() if line.startswith("took"))


def main(rows: int, rounds: int, rounds_of_peers: int) -> None:
    """Print times and ratios, and whether each aim is reached; exits with 1 where one is not."""
    before, now = sample(rows, 1, 0.0), sample(rows, 2, 0.02)
    reference = profile_of(before, INPUTS)
    edges = {c.name: np.quantile(before[c.name].to_numpy(), np.linspace(0, 1, EDGES + 1)[1:-1]) for c in INPUTS}
    print(f"{COLUMNS} columns, {rows:,} rows against {rows:,}; {measured(reference, now)} measures; median of {rounds}")
    stored = seconds(lambda: measured(reference, now), rounds)
    numpy_pass = seconds(lambda: bare(edges, now), rounds)
    both = seconds(lambda: measured(profile_of(before, INPUTS), now), rounds)
    large = rows > 1_000_000
    aims = [("bare numpy pass", numpy_pass, stored, 1 / (1.5 if large else 2.0))]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / "before.arrow", Path(folder) / "now.arrow"]
        for table, path in zip((before, now), paths, strict=True):
            feather.write_feather(table, path, compression="uncompressed")
        nannyml = peer("nannyml", NANNYML, paths, rounds_of_peers)
        aims += [("NannyML, KS alone", nannyml, both, 1.0)] if nannyml else []
        evidently = peer("evidently", EVIDENTLY, paths, 1 if large else rounds_of_peers)
        aims += [("Evidently DataDriftPreset", evidently, both, 80.0 if large else 40.0)] if evidently else []
    print(f"  Headrace, stored {stored:8.3f} s\n  Headrace, both   {both:8.3f} s")
    for name, theirs, ours, least in aims:
        held = "holds" if theirs / ours >= least else "FAILS"
        print(f"  {name:<26} {theirs:8.3f} s   {theirs / ours:7.2f} times ours ({held}: at least {least:.2f})")
    sys.exit(0 if all(theirs / ours >= least for _, theirs, ours, least in aims) else 1)


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    main(*(given + [300_000, 5, given[1] if len(given) > 1 else 5][len(given) :]))
