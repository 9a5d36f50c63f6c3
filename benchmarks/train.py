"""Measures training from Arrow on 3.4 M rows of 25 features against LightGBM alone and against the pandas way.

Usage: python -m benchmarks.train [rounds] [rows]
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.train import lesson_of, train_model

FACTOR, MEMORY = 1.05, 0.7
ROWS, NUMBERS, TEXTS = 3_400_000, 22, 3
TREES = 100
"""As many as LightGBM makes where nobody says how many."""
LABEL = Label(sql="label.sql", entity="id", time="at", column="late", known_after=timedelta(days=1))
MODEL = Model.model_validate({"split": {"test": "1d"}, "trees": TREES})
WAYS = ("rounds", "plain", "headrace", "pandas")


def training_rows(rows: int) -> pa.Table:
    """Return rows whose label follows two of 25 features."""
    chance = np.random.default_rng(0)
    columns: dict[str, Any] = {
        "id": np.arange(rows),
        "at": pa.array(np.arange(rows) * 1_000_000, pa.timestamp("us", "UTC")),
    }
    for number in range(NUMBERS):
        values = chance.normal(size=rows)
        columns[f"number_{number}"] = pa.array(values, mask=chance.random(rows) < 0.02)
    words = np.array([f"word {i:02}" for i in range(40)])
    for number in range(TEXTS):
        columns[f"text_{number}"] = pa.array(words[chance.integers(0, 40, rows)])
    odds = columns["number_0"].fill_null(0.0).to_numpy() + columns["number_1"].fill_null(0.0).to_numpy()
    columns["late"] = (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return pa.table(columns)


def by_plain(rows: pa.Table, *, binned: bool = False) -> float:
    """Return the seconds of LightGBM alone: it bins encoded rows, and makes its rounds; of rows that are `binned`, its rounds."""
    lesson = lesson_of(rows, LABEL, MODEL, _silent)
    fixed = {"objective": "binary", "verbose": -1, "deterministic": True, "force_row_wise": True, "seed": 0}
    categorical = [number for number, column in enumerate(lesson.meta.inputs) if column.kind == "categorical"]
    started = time.perf_counter()
    data = lgb.Dataset(lesson.rows, lesson.answers, categorical_feature=categorical, params=fixed).construct()
    started = time.perf_counter() if binned else started
    lgb.train(fixed, data, num_boost_round=TREES)
    return time.perf_counter() - started


def by_headrace(rows: pa.Table) -> float:
    """Return the seconds from the training set's rows to a model: encoding, binning and all rounds."""
    started = time.perf_counter()
    train_model(rows, LABEL, MODEL, _silent)
    return time.perf_counter() - started


def by_pandas(rows: pa.Table) -> float:
    """Return the seconds of what a script does: a frame, texts as categories, LightGBM's own scikit-learn interface."""
    started = time.perf_counter()
    frame = rows.to_pandas()
    for name in [name for name in frame.columns if name.startswith("text")]:
        frame[name] = frame[name].astype("category")
    inputs = frame.drop(columns=["id", "at", "late"])
    lgb.LGBMClassifier(n_estimators=TREES, deterministic=True, force_row_wise=True, verbose=-1).fit(
        inputs, frame["late"]
    )
    return time.perf_counter() - started


def measure(way: str, rows: int) -> dict[str, float]:
    """Return seconds and the rise of the process's peak memory above the rows themselves, in GB."""
    given = training_rows(rows)
    before = _peak()
    ways: dict[str, Callable[[pa.Table], float]] = {
        "rounds": partial(by_plain, binned=True),
        "plain": by_plain,
        "headrace": by_headrace,
        "pandas": by_pandas,
    }
    seconds = ways[way](given)
    return {"seconds": seconds, "gigabytes": (_peak() - before) / 1e9}


def _peak() -> int:
    """Return the greatest resident memory since this was asked last; Linux forgets it when told to."""
    with open("/proc/self/status") as status:
        peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    return peak


def compare(rounds: int, rows: int) -> bool:
    """Print the medians, and return whether both limits hold; each measurement is a process of its own."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way in WAYS:
            asked = [sys.executable, "-m", "benchmarks.train", "one", way, str(rows)]
            done = subprocess.run(asked, check=True, capture_output=True, text=True)
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
    middle = {way: {k: statistics.median(m[k] for m in all_) for k in all_[0]} for way, all_ in found.items()}
    print(
        f"{rows:,} rows of {NUMBERS + TEXTS} features, {TREES} trees; median of {rounds}, each in a process of its own"
    )
    for way in WAYS:
        print(f"  {way:<9} {middle[way]['seconds']:7.2f} s  {middle[way]['gigabytes']:6.2f} GB above the rows")
    alone = middle["headrace"]["seconds"] / middle["rounds"]["seconds"]
    print(
        f"  {alone:.2f} times LightGBM's rounds on rows that it has binned before: no limit, as training has to bin them"
    )
    slower = middle["headrace"]["seconds"] / middle["plain"]["seconds"]
    larger = middle["headrace"]["gigabytes"] / middle["pandas"]["gigabytes"]
    fast = _said(
        slower <= FACTOR, f"{slower:.2f} times LightGBM's own time on rows that are encoded before (limit {FACTOR})"
    )
    return _said(larger <= MEMORY, f"{larger:.2f} times the memory of the pandas way (limit {MEMORY})") and fast


def _said(holds: bool, what: str) -> bool:
    print(f"  {'holds' if holds else 'FAILS'}: {what}")
    return holds


def _silent(_: str) -> None:
    """Take progress without a word."""


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["one", way, rows]:
            print(json.dumps(measure(way, int(rows))))
        case rest:
            compare(int(rest[0]) if rest else 5, int(rest[1]) if len(rest) > 1 else ROWS)
