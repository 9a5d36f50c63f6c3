"""Measures what SHAP values of a hundred thousand rows cost beside LightGBM's own `pred_contrib` on a prepared matrix.

Usage: python -m benchmarks.explain [rounds]
"""

import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa

from headrace.explain.contributions import contributions, matrix_of
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.predict import Predictor
from headrace.models.train import train_model

ROWS, NUMBERS, FACTOR = 100_000, 22, 1.1
LABEL = Label(sql="label.sql", entity="id", time="at", column="y", known_after=timedelta(days=1))
MODEL = Model.model_validate({"split": {"test": "7d"}, "trees": 20, "params": {"num_leaves": 31}})


def rows_of(count: int) -> pa.Table:
    """Return rows of 22 numbers and three texts; some are missing."""
    chance = np.random.default_rng(7)
    columns: dict[str, Any] = {}
    for number in range(NUMBERS):
        values = chance.normal(size=count)
        columns[f"n{number}"] = pa.array(values, mask=chance.random(count) < 0.05)
    for number in range(3):
        columns[f"c{number}"] = chance.choice([f"k{k}" for k in range(20)], size=count)
    odds = columns["n0"].fill_null(0).to_numpy() + (columns["c0"] == "k1") - 1
    moments = pa.array(np.arange(count) * 1_000_000, pa.timestamp("us", "UTC"))
    y = (chance.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return pa.table({"id": np.arange(count), "at": moments, "y": y, **columns})


def main(rounds: int) -> None:
    """Print the medians and whether the limit holds."""
    rows = rows_of(ROWS)
    trained = train_model(rows, LABEL, MODEL, lambda _: None)
    predictor = Predictor(trained.fitted, trained.meta)
    booster = lgb.Booster(model_str=trained.fitted.to_bytes().decode())
    matrix = matrix_of(encode(rows, predictor.inputs))
    ways: dict[str, Callable[[], Any]] = {
        "headrace": lambda: contributions(rows, predictor).values,
        "LightGBM": lambda: booster.predict(matrix, pred_contrib=True)[:, :-1],
    }
    took: dict[str, list[float]] = {name: [] for name in ways}
    made: dict[str, Any] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            made[name] = way()
            took[name].append(time.perf_counter() - began)
        assert np.array_equal(made["headrace"], made["LightGBM"])
    median = {name: statistics.median(seconds) for name, seconds in took.items()}
    print(f"SHAP of {ROWS:,} rows x {len(predictor.inputs)} inputs, 20 trees of 31 leaves; median of {rounds}")
    for name, seconds in median.items():
        print(f"  {name:<10} {seconds:6.2f} s")
    times = median["headrace"] / median["LightGBM"]
    print(f"  {'holds' if times <= FACTOR else 'FAILS'}: {times:.3f} times LightGBM's own (limit {FACTOR})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
