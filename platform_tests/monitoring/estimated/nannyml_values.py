"""Writes nannyml.json: what NannyML estimates of the simulated worlds.

NannyML conflicts with the lock, so that it has an environment of its own:
    python3.11 -m venv /tmp/nannyml && /tmp/nannyml/bin/pip install nannyml==0.13.1
    cd platform_tests/monitoring/estimated && /tmp/nannyml/bin/python nannyml_values.py
"""

import json
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

REFERENCE, ANALYSIS, SHIFT = 5000, 3000, 0.6
METRICS = {"roc_auc": "auc", "accuracy": "accuracy", "precision": "precision", "recall": "recall"}


def main() -> None:
    """Estimate both worlds, with and without a shift, and write the values down."""
    simulated: Any = import_module("simulated")
    found = {
        "versions": {name: version(name) for name in ("nannyml", "scikit-learn", "lightgbm", "numpy")},
        "classification": {f"{shift}": chances(simulated, shift) for shift in (0.0, SHIFT)},
        "regression": {f"{shift}": losses(simulated, shift) for shift in (0.0, SHIFT)},
    }
    Path("nannyml.json").write_text(json.dumps(found, indent=1) + "\n")


def chances(simulated: Any, shift: float) -> dict[str, float]:
    """Return what CBPE expects."""
    nannyml: Any = import_module("nannyml")
    columns = {"y_pred_proba": "score", "y_pred": "chosen", "y_true": "answer"}
    estimator = nannyml.CBPE(
        **columns, problem_type="classification_binary", metrics=list(METRICS), chunk_size=ANALYSIS
    )
    estimator.fit(frame(simulated.classified(1, REFERENCE), simulated.THRESHOLD))
    told = estimator.estimate(frame(simulated.classified(2, ANALYSIS, shift), simulated.THRESHOLD))
    row = told.filter(period="analysis").to_df()
    return {ours: float(row[theirs]["value"].iloc[-1]) for theirs, ours in METRICS.items()}


def losses(simulated: Any, shift: float) -> dict[str, float]:
    """Return what DLE expects."""
    nannyml: Any = import_module("nannyml")
    estimator = nannyml.DLE(
        feature_column_names=["x", "z"], y_pred="score", y_true="answer", metrics=["mae", "rmse"], chunk_size=ANALYSIS
    )
    estimator.fit(frame(simulated.numbered(1, REFERENCE), 0.0))
    row = estimator.estimate(frame(simulated.numbered(2, ANALYSIS, shift), 0.0)).filter(period="analysis").to_df()
    return {name: float(row[name]["value"].iloc[-1]) for name in ("mae", "rmse")}


def frame(rows: Any, threshold: float) -> Any:
    """Return rows as NannyML takes them."""
    pandas: Any = import_module("pandas")
    table = {name: getattr(rows, name) for name in ("x", "z")}
    chosen = (rows.scores >= threshold).astype(int)
    return pandas.DataFrame({**table, "score": rows.scores, "answer": rows.answers, "chosen": chosen})


if __name__ == "__main__":
    main()
