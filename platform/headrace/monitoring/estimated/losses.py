"""Expected errors of predicted numbers whose truth nobody knows yet: direct loss estimation (DLE).

A small LightGBM model learns the absolute error, and another the squared one, from the inputs and the prediction of the
test set's rows. Source: the NannyML library, "Direct Loss Estimation". Five of each learn from four fifths of the days:
their mean is the estimate, and how they differ tells what the test set left unknown (delete-group jackknife, M.
Quenouille 1956, J. Shao and D. Tu 1995).
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from headrace.models.blocks import Array
from headrace.models.encode import encode
from headrace.models.meta import Input, Meta
from headrace.models.predict import SCORE
from headrace.models.trainer import Beside, Lesson, trainer_of
from headrace.monitoring.estimated.chances import Estimate

LEARNER, TREES, PARTS = "lightgbm", 60, 5
NORMAL = 2.0
"""The variance of a squared normal error, as a multiple of its expectation squared: tails are no lighter than that."""
ABSOLUTE, SQUARED = "absolute", "squared"


class Losses(BaseModel):
    """What a test set says of a model's errors."""

    inputs: list[Input]
    learned: dict[str, list[str]]
    """Kind of error → LightGBM's text of each model, which has not seen one fifth of the days."""
    sharing: dict[str, float]
    """Kind of error → how many times greater the variance of its mean is than that of rows which share nothing."""
    kurtosis: float
    """The variance of a squared error, as a multiple of the square of what was expected of it."""
    tested: dict[str, float]
    rows: int
    blocks: int
    """How many days the test set has."""

    def estimates(self, rows: pa.Table) -> dict[str, Estimate]:
        """Return what is to be expected of scored rows, which have the model's inputs and `score`, without their truth."""
        absolute, squared = (self._expected(rows, kind) for kind in (ABSOLUTE, SQUARED))
        count = rows.num_rows
        each, squares = absolute.mean(axis=0), squared.mean(axis=0)
        spread = np.maximum(squares - each**2, 0).sum() / count**2
        squared_spread = self.kurtosis * (squares**2).sum() / count**2
        mae, mse = float(each.mean()), float(squares.mean())
        mae_variance = self.sharing[ABSOLUTE] * spread + _jackknife(absolute)
        mse_variance = self.sharing[SQUARED] * squared_spread + _jackknife(squared)
        rmse = mse**0.5
        slope = 1 / (2 * rmse) if rmse else 0.0
        return {
            "rmse": Estimate(rmse, float(slope * mse_variance**0.5)),
            "mae": Estimate(mae, float(mae_variance**0.5)),
        }

    def _expected(self, rows: pa.Table, kind: str) -> Array:
        """Return the error that each model expects of each row."""
        encoded, meta = encode(rows, self.inputs), _meta(self.inputs, rows.num_rows)
        models = [trainer_of(LEARNER).from_bytes(text.encode(), meta) for text in self.learned[kind]]
        return np.asarray(np.maximum(np.stack([model.predict(encoded) for model in models]), 0))


def learned_losses(rows: pa.Table, inputs: list[Input], answers: Any, blocks: Array) -> Losses:
    """Return what scored rows of a test set, with what came true of them, say of a model's errors."""
    known = [*inputs, Input(name=SCORE, kind="numeric")]
    error = rows[SCORE].to_numpy() - np.asarray(answers, dtype=float)
    days = np.asarray(blocks)
    parts = np.unique(days, return_inverse=True)[1] % PARTS
    learned: dict[str, list[str]] = {}
    sharing: dict[str, float] = {}
    kurtosis = NORMAL
    for kind, losses in ((ABSOLUTE, np.abs(error)), (SQUARED, error**2)):
        learned[kind], unseen = _fitted(rows, known, losses, parts)
        residual = losses - unseen
        sharing[kind] = _sharing(residual, days)
        if kind == SQUARED:
            found = float((residual**2).mean() / max(float((unseen**2).mean()), np.finfo(float).tiny))
            kurtosis = max(NORMAL, found)
    return Losses(
        inputs=known,
        learned=learned,
        sharing=sharing,
        kurtosis=kurtosis,
        tested=realized(rows[SCORE].to_numpy(), answers),
        rows=rows.num_rows,
        blocks=len(np.unique(days)),
    )


def realized(scores: Any, answers: Any) -> dict[str, float]:
    """Return the same metrics of rows whose truth is known."""
    error = np.asarray(scores, dtype=float) - np.asarray(answers, dtype=float)
    return {"rmse": float(np.sqrt((error**2).mean())), "mae": float(np.abs(error).mean())}


def _fitted(rows: pa.Table, inputs: list[Input], losses: Array, parts: Array) -> tuple[list[str], Array]:
    """Return a model for each part that it has not seen, as text, and what it expects of that part."""
    texts, unseen = [], np.zeros(len(losses))
    meta = _meta(inputs, rows.num_rows)
    for part in np.unique(parts):
        own, other = pa.array(parts != part), pa.array(parts == part)
        lesson = Lesson(
            encode(rows.filter(own), inputs), losses[parts != part], None, None, meta, _silent, Beside(Path(), "")
        )
        fitted = trainer_of(LEARNER).fit(lesson)
        texts.append(fitted.to_bytes().decode())
        unseen[parts == part] = np.maximum(fitted.predict(encode(rows.filter(other), inputs)), 0)
    return texts, unseen


def _meta(inputs: list[Input], rows: int) -> Meta:
    never = datetime(1970, 1, 1, tzinfo=UTC)
    params = {
        "num_leaves": 15,
        "learning_rate": 0.08,
        "min_data_in_leaf": max(5, min(100, rows // 50)),
        "num_threads": 1,
    }
    return Meta(
        inputs=inputs,
        label="loss",
        time="",
        params=params,
        trees=TREES,
        seed=0,
        train_from=never,
        train_to=never,
        rows=rows,
        task="regression",
        device="cpu",
    )


def _silent(_: str) -> None:
    """Take progress without a word."""


def _jackknife(expected: Array) -> float:
    """Return the variance of the mean that models, each without one part of the days, differ by."""
    means = expected.mean(axis=1)
    return float((len(means) - 1) / len(means) * ((means - means.mean()) ** 2).sum())


def _sharing(residual: Array, days: Array) -> float:
    """Return the design effect of the mean: the variance of sums over days against that of rows alone, at least 1."""
    numbers = np.unique(days, return_inverse=True)[1]
    sums, blocks = np.bincount(numbers, weights=residual), int(numbers.max()) + 1
    alone = float((residual**2).sum())
    return max(1.0, float((sums**2).sum()) * blocks / max(blocks - 1, 1) / alone) if alone > 0 else 1.0
