"""Measures the search for the causes of drift against a plain exhaustive search of the same slices in numpy.

Usage: python -m benchmarks.causes [rounds]. 20 columns, 300,000 rows of a window against a stored sample of 40,000 rows of
the training set. The exhaustive search asks each column in each slice of one and two conditions, once, over all rows; the
search for causes asks until nothing is left, and says which days and columns belong to a cause. Both work on one thread:
processor time is measured, which others on the machine do not lengthen much.
"""

import statistics
import sys
import time
from datetime import date
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.encode import inputs_of
from headrace.monitoring.bins import codes_of, columns_of
from headrace.monitoring.causes import Compared, explained
from headrace.monitoring.diagnose import SEARCHED
from headrace.monitoring.evidence import of_values

ROWS, NUMBERS, TEXTS, DAYS, LIMIT_S = 300_000, 16, 4, 7, 2.0
FACTOR = 0.5


def rows_of(count: int, seed: int) -> pa.Table:
    """Return rows of sixteen numbers, some of which follow others, and four texts."""
    chance = np.random.default_rng(seed)
    shared = chance.normal(size=count)
    numbers = {f"n{n}": chance.normal(size=count) + (shared if n % 3 == 0 else 0) for n in range(NUMBERS)}
    texts = {f"c{n}": chance.choice([f"k{k:02d}" for k in range(6 * (n + 1))], size=count) for n in range(TEXTS)}
    return pa.table(numbers | texts)


def moved(rows: pa.Table) -> pa.Table:
    """Return rows of which those of one slice, three percent, have another value in one column."""
    inside = (rows["c0"].to_numpy() == "k01") & (rows["n1"].to_numpy() > 0.9)
    return rows.set_column(2, "n2", pa.array(np.where(inside, rows["n2"].to_numpy() + 2, rows["n2"].to_numpy())))


def exhaustive(before: Any, after: Any, sizes: list[int]) -> tuple[float, tuple[int, int, int]]:
    """Return the greatest evidence of all slices of two conditions, with the columns of the slice and the one that moved."""
    best, found = 0.0, (0, 0, 0)
    for a, b in combinations(range(len(sizes)), 2):
        pairs = [codes[a] * sizes[b] + codes[b] for codes in (before, after)]
        for c in (place for place in range(len(sizes)) if place not in (a, b)):
            shape = (sizes[a] * sizes[b], sizes[c])
            counts = [
                np.bincount(pair * sizes[c] + codes[c], minlength=shape[0] * shape[1]).reshape(shape)
                for pair, codes in zip(pairs, (before, after), strict=True)
            ]
            large = np.minimum(counts[0].sum(axis=1), counts[1].sum(axis=1)) >= 50
            nats, _ = of_values(counts[0][large], counts[1][large])
            if len(nats) and nats.max() > best:
                best, found = float(nats.max()), (a, b, c)
    return best, found


def main(rounds: int) -> None:
    """Print the medians and whether the limits hold."""
    reference, window = rows_of(SEARCHED, 1), moved(rows_of(ROWS, 2))
    inputs = inputs_of(reference, [])
    columns = columns_of(reference, inputs)
    began = time.process_time()
    before, after = codes_of(reference, columns), codes_of(window, columns)
    _, (a, b, c) = exhaustive(before, after, [column.size for column in columns])
    plain = time.process_time() - began
    took = []
    for _ in range(rounds):
        began = time.process_time()
        places = np.linspace(0, ROWS - 1, SEARCHED).astype(np.int64)
        sample = window.take(pa.array(places))
        found = explained(Compared(reference, sample, places * DAYS // ROWS, date(2024, 1, 1), inputs, 0.2))
        took.append(time.process_time() - began)
    first = found.named[0]
    named = sorted([*(columns[one.column].name for one in first.found.slice.conditions)])
    assert named == sorted([columns[a].name, columns[b].name]) == ["c0", "n1"], (named, a, b)
    assert first.cause.columns == [columns[c].name] == ["n2"]
    seconds = statistics.median(took)
    print(f"{len(columns)} columns, {ROWS:,} rows against {SEARCHED:,} stored ones; median of {rounds}")
    print(f"  the causes            {seconds:7.2f} s: {first.cause}")
    print(f"  exhaustive in numpy   {plain:7.2f} s, once: the same slice")
    print(f"  {'holds' if seconds < LIMIT_S else 'FAILS'}: under {LIMIT_S:.0f} s")
    print(
        f"  {'holds' if seconds <= FACTOR * plain else 'FAILS'}: {seconds / plain:.3f} times the plain search (limit {FACTOR})"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
