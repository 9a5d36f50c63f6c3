"""Measures an evaluation: 300,000 rows of 90 days, every metric and curve, 1,000 samples, 20 slices of four columns.

Usage: python -m benchmarks.evaluate [rounds]. The median counts; AUC is held against scikit-learn's in the same run.
"""

import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
from sklearn.metrics import roc_auc_score

from headrace.evaluation.evaluate import LEAST_ROWS, Measuring, evaluate
from headrace.evaluation.metrics import Aim, Decision
from headrace.features.declaration import Label
from headrace.models.blocks import SAMPLES

ROWS, DAYS, MOST_S = 300_000, 90, 5.0
SLICES = {"origin": 3, "carrier": 10, "weekday": 5, "night": 2}
LABEL = Label(sql="label.sql", entity="flight_id", time="at", column="late", known_after=timedelta(days=1))


def scored_rows() -> tuple[pa.Table, np.ndarray]:
    """Return label rows with four columns to slice by, and a score of each."""
    chance = np.random.default_rng(0)
    scores = chance.beta(2, 6, size=ROWS)
    late = (chance.random(ROWS) < scores).astype(np.int8)
    first = int(datetime(2013, 1, 1, tzinfo=UTC).timestamp())
    at = np.sort(chance.integers(0, DAYS * 86400, size=ROWS)) + first
    sliced = {name: pa.array([f"{name} {n}" for n in chance.integers(0, n, size=ROWS)]) for name, n in SLICES.items()}
    names = pa.array([f"f{n:06d}" for n in range(ROWS)])
    times = pa.array(at * 1_000_000, pa.timestamp("us", "UTC"))
    return pa.table({"flight_id": names, "at": times, "late": late, **sliced}), scores


def main(rounds: int) -> None:
    """Print the median and whether the limit holds."""
    rows, scores = scored_rows()
    measuring = Measuring(LABEL, "America/New_York", list(SLICES), aim=Aim(decision=Decision(0.3, 1, 5)))
    took = []
    for _ in range(rounds):
        started = time.perf_counter()
        found = evaluate(rows, scores, measuring)
        took.append(time.perf_counter() - started)
    slices = sum(len(values) for values in found.slices.values())
    exact = found.overall.metrics["auc"] == float(roc_auc_score(rows["late"].to_numpy(), scores))
    assert all(part.rows >= LEAST_ROWS for values in found.slices.values() for part in values.values())
    median = statistics.median(took)
    print(f"{ROWS:,} rows of {found.blocks} days, {slices} slices, {SAMPLES:,} samples, median of {rounds}")
    print(f"  every metric with its interval, and the curves  {median:6.2f} s")
    print(f"  {'holds' if median <= MOST_S else 'FAILS'}: under {MOST_S:.0f} s")
    print(f"  {'holds' if exact else 'FAILS'}: the AUC is scikit-learn's to the last digit")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
