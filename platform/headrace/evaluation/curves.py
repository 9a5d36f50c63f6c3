"""The curves behind the metrics, each with the band in which it lies in most samples."""

import numpy as np
from pydantic import BaseModel

from headrace.evaluation.metrics import CALIBRATION_BINS, Ranked, are_probabilities, bins_of
from headrace.models.blocks import Array, interval
from headrace.models.words import Task

POINTS, NUMBER_BINS, ERROR_BINS = 100, 20, 40


class Curve(BaseModel):
    """A curve by its points, and for some places the interval in which its height lies."""

    points: list[tuple[float, float]]
    band: list[tuple[float, float, float]] = []
    """Place, lowest and highest height."""


def curves_of(rows: Ranked, draws: Array, confidence: float, task: Task) -> dict[str, Curve]:
    """Return the curves that are drawn of a task; none of a ranking.

    Of a classification: ROC, precision by recall, gains (share of positives by share of rows), calibration. Of numbers:
    what came true by what was predicted, in twenty steps, and how many rows have which error.
    """
    if task == "ranking":
        return {}
    if task == "classification":
        return _class_curves(rows, draws, confidence)
    predicted = _steps(rows, draws, confidence, NUMBER_BINS)
    counts, edges = np.histogram(rows.answers - rows.scores, bins=ERROR_BINS)
    errors = zip((edges[:-1] + edges[1:]) / 2, counts, strict=True)
    return {"predicted": predicted, "errors": Curve(points=[(float(x), float(y)) for x, y in errors])}


def _class_curves(rows: Ranked, draws: Array, confidence: float) -> dict[str, Curve]:
    hits, false = _decided_at(rows, draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        positives, negatives = hits[:, -1:], false[:, -1:]
        found, alarms = hits / positives, false / negatives
        chosen = (hits + false) / (positives + negatives)
        precision = hits / (hits + false)
    precision[:, 0] = precision[:, 1]
    curves = {
        "roc": _curve(alarms, found, rows.count, confidence),
        "precision_recall": _curve(found, precision, rows.count, confidence),
        "gains": _curve(chosen, found, rows.count, confidence),
    }
    return curves | ({"calibration": _calibration(rows, draws, confidence)} if are_probabilities(rows) else {})


def _decided_at(rows: Ranked, draws: Array) -> tuple[Array, Array]:
    """Return how many positives and negatives of each sample lie at or above each of about 100 scores, the highest first."""
    size = len(rows.scores)
    cuts = np.unique(rows.scores[np.linspace(0, size - 1, POINTS).astype(int)])
    place = len(cuts) - np.searchsorted(cuts, rows.scores, side="right")
    cells, shape = place * rows.count + rows.blocks, (len(cuts), rows.count)
    counted = (
        np.bincount(cells[kept], minlength=shape[0] * shape[1]).reshape(shape) @ draws.T
        for kept in (rows.came_true, ~rows.came_true)
    )
    hits, false = (np.vstack([np.zeros(len(draws)), part.cumsum(axis=0)]).T for part in counted)
    return hits, false


def _curve(across: Array, up: Array, blocks: int, confidence: float) -> Curve:
    """Return the curve of the first sample, with the band of all samples at 51 places."""
    places = np.linspace(0, 1, 51)
    known = np.isfinite(across).all(axis=1) & np.isfinite(up).all(axis=1)
    heights = np.array([np.interp(places, x, y) for x, y in zip(across[known], up[known], strict=True)])
    band = [(float(x), interval(heights[:, i], blocks, confidence)) for i, x in enumerate(places)] if blocks > 1 else []
    return Curve(
        points=[(float(x), float(y)) for x, y in zip(across[0], up[0], strict=True)],
        band=[(x, *(min(max(y, 0.0), 1.0) for y in height)) for x, height in band if height],
    )


def _calibration(rows: Ranked, draws: Array, confidence: float) -> Curve:
    curve = _steps(rows, draws, confidence, CALIBRATION_BINS)
    return Curve(points=curve.points, band=[(x, max(low, 0.0), min(high, 1.0)) for x, low, high in curve.band])


def _steps(rows: Ranked, draws: Array, confidence: float, bins: int) -> Curve:
    """Return what came true by the mean score of each of some bins of equal size."""
    cells, shape = bins_of(rows, bins) * rows.count + rows.blocks, (bins, rows.count)
    count, score, true = (
        np.bincount(cells, weights=values, minlength=shape[0] * shape[1]).reshape(shape) @ draws.T
        for values in (None, rows.scores, rows.answers)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        means, heights = score[:, 0] / count[:, 0], true / count
    held = [i for i in range(bins) if count[i, 0]]
    band = [(float(means[i]), interval(heights[i], rows.count, confidence)) for i in held] if rows.count > 1 else []
    return Curve(
        points=[(float(means[i]), float(heights[i, 0])) for i in held],
        band=[(x, *bounds) for x, bounds in band if bounds],
    )
