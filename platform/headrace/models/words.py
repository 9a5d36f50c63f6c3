"""The words that gates and models are declared in: metrics by task, and what else is held against limits."""

from collections.abc import Mapping, Sequence
from typing import Literal

SKEW = "skew"
"""How many features were served otherwise than they are trained on, when that was looked at last."""
LEAKAGE = "leakage"
"""How many cells of the training set knew the future, when its version was made."""
LABELS = "labels"
"""Whether the newest labels of the training set were unlike those before, when its version was made: 1, or 0."""
CONTRACTS = "contracts"
"""How many sources break their contract, when that was looked at last."""
BEHAVIOUR = "behaviour"
"""How many of the hard behaviour tests the model fails."""
COUNTS = (SKEW, LEAKAGE, LABELS, CONTRACTS, BEHAVIOUR)
LATENCY, SIZE = "latency", "size"
UNDER_LOAD = ("latency.p50", "latency.p95", "latency.p99")
"""How long requests wait for their answers while a server of the model is asked as much as it is to bear."""
Direction = Literal["increasing", "decreasing"]
Task = Literal["classification", "regression", "ranking", "quantile"]
MEASURED: Mapping[str, Sequence[str]] = {
    "classification": (
        "auc",
        "average_precision",
        "log_loss",
        "brier",
        "calibration_error",
        "lift",
        "cost",
        "positive_rate",
        "true_positive_rate",
        "false_positive_rate",
    ),
    "regression": ("rmse", "mae", "mape", "r2"),
    "quantile": ("pinball", "coverage"),
    "ranking": ("ndcg",),
}
"""Task → what is measured of scores, on all rows and by slice."""
METRICS = (*(metric for metrics in MEASURED.values() for metric in metrics), LATENCY, *UNDER_LOAD, SIZE, *COUNTS)
_TIMES = {"ms": 1.0, "s": 1000.0}
UNITS = {**dict.fromkeys((LATENCY, *UNDER_LOAD), _TIMES), SIZE: {"KB": 1e3, "MB": 1e6, "GB": 1e9}}
"""Metric → unit → how many milliseconds or bytes it is."""
