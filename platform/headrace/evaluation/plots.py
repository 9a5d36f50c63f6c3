"""The pictures of an evaluation: how well scores rank, whether they are probabilities."""

from typing import TYPE_CHECKING

from headrace.core.charts import columns, diagonal, straight
from headrace.evaluation.evaluate import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES = {
    "roc": ("ROC", "auc", ("false positive rate", "true positive rate")),
    "precision_recall": ("Precision and recall", "average_precision", ("recall", "precision")),
    "gains": ("Gains", "lift", ("share of rows, highest scores first", "share of positives found")),
    "calibration": ("Calibration", "calibration_error", ("mean score", "share that came true")),
}
"""Curve → title, the metric that sums it up, axes."""
SHORT = {"auc": "AUC", "average_precision": "AP", "lift": "lift of a tenth", "calibration_error": "error"}


def evaluation_plots(evaluation: Evaluation) -> "dict[str, Figure]":
    """Return a picture of each curve, with its band."""
    pictures = {name: _curve(name, evaluation) for name in CURVES if name in evaluation.curves}
    if "predicted" in evaluation.curves:
        predicted, errors = evaluation.curves["predicted"], evaluation.curves["errors"]
        axes = ("predicted", "came true")
        pictures["predicted"] = straight("Predicted and true", predicted.points, axes, band=predicted.band)
        pictures["errors"] = columns("Errors: what came true less what was predicted", errors.points, "error")
    return pictures


def _curve(name: str, evaluation: Evaluation) -> "Figure":
    title, metric, axes = CURVES[name]
    curve, value = evaluation.curves[name], evaluation.overall.metrics.get(metric)
    said = f"{title}, {SHORT[metric]} {value:.3f}" if value is not None else title
    share = evaluation.overall.positives / evaluation.overall.rows
    against = (share, share) if name == "precision_recall" else (0, 1)
    return diagonal(said, curve.points, axes, band=curve.band, against=against)
