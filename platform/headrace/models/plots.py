"""The pictures of a model: what it looks at, how well it ranks, whether its scores are probabilities."""

from typing import TYPE_CHECKING

from headrace.core.charts import bars, diagonal
from headrace.models.evaluate import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def importance_plot(importance: dict[str, float]) -> "Figure":
    """Return the inputs that the model gains most from."""
    return bars("What the model looks at (share of gain)", importance)


def evaluation_plots(evaluation: Evaluation) -> "dict[str, Figure]":
    """Return the ROC and calibration curves."""
    auc = evaluation.overall.metrics.get("auc")
    title = f"ROC, AUC {auc:.3f}" if auc is not None else "ROC"
    calibration = [(mean, share) for mean, share, _ in evaluation.calibration]
    return {
        "roc": diagonal(title, evaluation.roc, ("false positive rate", "true positive rate")),
        "calibration": diagonal("Calibration", calibration, ("mean score", "share that came true"), marker="o"),
    }
