"""Measures the commands about releases as a person types them, Python's start included, on a log of a hundred releases.

Usage: python -m benchmarks.releases [rounds]. The median counts.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from benchmarks.__main__ import timed
from headrace.evaluation.judgement import judge_candidate
from headrace.models.candidate import Candidate, remember, train_candidate
from headrace.project import Project
from headrace.starter.start import start_project

RELEASES, MOST_S = 100, 1.0
PRODUCT = "returns"


def prepared(root: Path) -> Project:
    """Return a new project with a hundred releases of two models, and a candidate that was judged against the last."""
    start_project(root)
    project = Project(root)
    declared, site = project.load(PRODUCT)
    label, model = declared.label, declared.model
    assert label
    assert model
    orders = pa.concat_tables([csv.read_csv(path) for path in sorted((root / "landing/orders").iterdir())])
    known = orders["returned"].cast(pa.int8())
    times = orders["ordered_at"].cast(pa.timestamp("us", "UTC"))
    rows = orders.set_column(2, "ordered_at", times).set_column(5, "returned", known)
    site.tables.replace(f"{PRODUCT}/training/set", rows)
    digests = []
    for trees in (5, 10, 20):
        made = train_candidate(site, label, model.model_copy(update={"trees": trees}), 0, lambda _: None)
        digests.append(made.digest)
    for number in range(RELEASES):
        decision = {"outcome": "released", "model": digests[number % 2], "at": site.clock.now(), "evidence": {}}
        site.releases.decide(PRODUCT, decision | {"who": "a benchmark", "why": "to measure"}, after=number)
    candidate = Candidate(digests[2], 0, site.clock.now(), "to measure")
    remember(site, candidate)
    judge_candidate(site, label, model, candidate, declared.gates)
    return project


def main(rounds: int) -> None:
    """Print the medians and whether the limits hold."""
    with tempfile.TemporaryDirectory() as folder:
        root = prepared(Path(folder) / "project").root
        python = [sys.executable, "-m", "headrace.cli"]
        # Each rollback goes back from the candidate, so that each release is a decision of its own.
        commands = {
            "live": [*python, "live", PRODUCT],
            "release": [*python, "release", PRODUCT, "--by", "ada"],
            "rollback": [*python, "rollback", PRODUCT, "--why", "to measure", "--by", "ada"],
        }
        took: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                took[name].append(timed(command, root, root))
        started = time.perf_counter()
        timed([sys.executable, "-c", "import click, yaml"], root, root)
        bare = time.perf_counter() - started
    print(f"commands on a log of {RELEASES} releases, median of {rounds}; Python's own start {bare:.2f} s")
    found = {name: statistics.median(times) for name, times in took.items()}
    for name, seconds in found.items():
        print(f"  {name:<10} {seconds:5.2f} s")
    for name, seconds in found.items():
        print(f"  {'holds' if seconds < MOST_S else 'FAILS'}: {name} under {MOST_S:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
