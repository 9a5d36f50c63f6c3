"""The curves behind the metrics, each with the band in which it lies in most samples."""

import numpy as np
from pydantic import BaseModel

from headrace.models.blocks import Array, interval
from headrace.models.metrics import CALIBRATION_BINS, Ranked, are_probabilities, bins_of

POINTS = 100


class Curve(BaseModel):
    """A curve by its points, and for some places the interval in which its height lies."""

    points: list[tuple[float, float]]
    band: list[tuple[float, float, float]] = []
    """Place, lowest and highest height."""


def curves_of(rows: Ranked, draws: Array, confidence: float) -> dict[str, Curve]:
    """Return the ROC, precision by recall, gains (share of positives by share of rows) and calibration curves."""
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
    cells, shape = bins_of(rows) * rows.count + rows.blocks, (CALIBRATION_BINS, rows.count)
    count, score, true = (
        np.bincount(cells, weights=values, minlength=shape[0] * shape[1]).reshape(shape) @ draws.T
        for values in (None, rows.scores, rows.came_true)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shares, means = true / count, score[:, 0] / count[:, 0]
    held = [i for i in range(CALIBRATION_BINS) if count[i, 0]]
    band = [(float(means[i]), interval(shares[i], rows.count, confidence)) for i in held] if rows.count > 1 else []
    return Curve(
        points=[(float(means[i]), float(shares[i, 0])) for i in held],
        band=[(x, *(min(max(y, 0.0), 1.0) for y in height)) for x, height in band if height],
    )
