"""Calibration and threshold: what is learned behind the model, on training rows that it was not trained on.

Both belong to the model's bytes. Rows of the test take no part in either.
"""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, OneClassOnly
from headrace.features.declaration import Label
from headrace.models import declaration
from headrace.models.blocks import Array
from headrace.models.declaration import Costs, Model
from headrace.models.split import Split, split_by_time, split_off_groups
from headrace.models.tuned import SURE, Calibration, Tuned, log_odds

PARTS = 5
"""The newest fifth of the training span is held out for calibration and threshold; of a split by group a fifth of the groups."""
LEAST_ROWS = 100
ROUNDS = 100


def is_tuned(model: Model) -> bool:
    """Return whether something is learned behind the model."""
    return bool(model.calibrate or model.costs)


def held_out(rows: pa.Table, label: Label, declared: declaration.Split) -> Split:
    """Return training rows as those to learn from, and those for calibration and threshold: split as the test is.

    By time the latter are the newest fifth of their span, and between both lies the label's `known_after`; by group all rows
    of about a fifth of the groups, which no group of the test is among. Raises NoRows where a part would be empty.
    """
    if declared.column is not None:
        return split_off_groups(rows, declared.column, "calibration", (0, 1 / PARTS))
    span = pc.min_max(rows[label.time]).as_py()
    test: timedelta = (span["max"] - span["min"]) / PARTS
    return split_by_time(rows, label, timedelta(seconds=max(int(test.total_seconds()), 1)))


def tune(scores: Any, answers: Array, model: Model) -> Tuned:
    """Return the calibration and threshold that rows which the model has not seen ask for.

    Raises DataError for fewer than 100 rows, OneClassOnly for one class, DataError where scores run against the labels.
    """
    if len(answers) < LEAST_ROWS:
        raise DataError(
            f"{len(answers)} rows are too few to calibrate or to choose a threshold on, fewer than {LEAST_ROWS}: "
            "ingest more history, or leave `model.calibrate` and `model.costs` out."
        )
    if answers.min() == answers.max():
        raise OneClassOnly(
            f"All {len(answers)} rows of the fifth of training that is held out have the label {answers[0]:g}: neither "
            "calibration nor threshold can be learned from them."
        )
    calibration = {"isotonic": _isotonic, "platt": _platt, None: _none}[model.calibrate](np.asarray(scores), answers)
    used = calibration.apply(scores) if calibration else np.asarray(scores)
    return Tuned(calibration=calibration, threshold=cheapest(used, answers, model.costs) if model.costs else None)


def cheapest(scores: Any, answers: Array, costs: Costs) -> float:
    """Return the score from which on deciding for positive costs least; just above all where it never pays."""
    order = np.argsort(scores, kind="stable")
    ranked, true = np.asarray(scores)[order], answers[order] == 1
    # Deciding from row i on: the positives below it are missed, the negatives from it on are false alarms.
    missed = np.concatenate([[0], np.cumsum(true)])
    alarms = np.concatenate([np.cumsum(~true[::-1])[::-1], [0]])
    cost = costs.false_negative * missed + costs.false_positive * alarms
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1], [True]]))
    best = first[np.argmin(cost[first])]
    return float(ranked[best]) if best < len(ranked) else float(np.nextafter(ranked[-1], np.inf))


def _none(_scores: Array, _answers: Array) -> None:
    return None


def _isotonic(scores: Array, answers: Array) -> Calibration:
    """Return the broken line that never falls and lies nearest (pool adjacent violators; Zadrozny and Elkan, KDD 2002).

    Where all of n rows came true, or none, the chance is (n + 1) / (n + 2), or 1 / (n + 2): the next row may differ. It goes no
    farther than its neighbours' chance: a few rows at the end say less than the many beside them.
    """
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, answers)
    chances = fitted.predict(scores)
    never, always = int((chances == 0).sum()), int((chances == 1).sum())
    corners = fitted.y_thresholds_.astype(float)
    inside = corners[(corners > 0) & (corners < 1)]
    corners[corners == 0] = min([1 / (never + 2), *inside])
    corners[corners == 1] = max([(always + 1) / (always + 2), *inside])
    return Calibration(method="isotonic", scores=fitted.X_thresholds_.astype(float).tolist(), chances=corners.tolist())


def _platt(scores: Array, answers: Array) -> Calibration:
    """Return the logistic curve of the scores' log-odds that makes the answers likeliest, by Newton's method.

    Answers are drawn in by one row of each class, so that no chance is 0 or 1 (J. Platt, 1999).
    """
    from scipy.special import expit

    positives = float(answers.sum())
    targets = np.where(answers == 1, (positives + 1) / (positives + 2), 1 / (len(answers) - positives + 2))
    x = np.stack([log_odds(scores), np.ones(len(scores))])
    weights = np.array([1.0, 0.0])
    for _ in range(ROUNDS):
        chances = expit(weights @ x)
        curvature = (x * (chances * (1 - chances))) @ x.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, x @ (chances - targets))
        weights = weights - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < SURE:
            break
    if weights[0] <= 0:
        raise DataError(
            "The model's scores run against the labels of the fifth of training that is held out: it has learned nothing "
            "that holds. A calibration would turn them around."
        )
    return Calibration(method="platt", slope=float(weights[0]), shift=float(weights[1]))
