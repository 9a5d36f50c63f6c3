"""Whether a classifier can tell two samples apart: the domain classifier.

Source: S. Rabanser, S. Günnemann, Z. Lipton, Failing Loudly: An Empirical Study of Methods for Detecting Dataset Shift
(NeurIPS 2019), section 3.2; D. Lopez-Paz and M. Oquab, Revisiting Classifier Two-Sample Tests (ICLR 2017). Rows of both
samples are put together and labelled by where they come from; each is scored by boosted trees that have not seen it. Where
nothing tells the samples apart the AUC of these scores is a half, whatever the columns and however they depend on each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.stats import rankdata

from headrace.models.blocks import Array
from headrace.models.encode import encode
from headrace.models.meta import Input, Meta
from headrace.models.trainer import Beside, Lesson
from headrace.models.trainers.lightgbm import LightGBM
from headrace.monitoring.drift import ONCE_IN_A_THOUSAND

FOLDS, TREES, MOST_NAMED = 5, 25, 3
PARAMS = {"num_leaves": 8, "learning_rate": 0.15, "min_data_in_leaf": 20, "num_threads": 1}
"""Small trees: a few thousand rows teach no more, and a window is judged in a second."""


@dataclass(frozen=True)
class Told:
    """How well two samples are told apart, and by which columns."""

    auc: float
    by: tuple[str, ...]
    """The columns whose splits gained most, the first most."""
    chance: float
    """The AUC that chance exceeds once in a thousand times."""


def told_apart(before: pa.Table, after: pa.Table, inputs: Sequence[Input], seed: int) -> Told:
    """Return the AUC, out of fold, of a classifier of two samples of rows; the same rows and seed give the same.

    Both need `FOLDS` rows at least. Raises DataError where the rows lack a column, or have it in another kind.
    """
    encoded = pa.concat_tables([encode(rows, inputs) for rows in (before, after)]).combine_chunks()
    answers = np.repeat([0.0, 1.0], [before.num_rows, after.num_rows])
    folds = _folds(before.num_rows, after.num_rows, seed)
    scores, gains = np.zeros(len(answers)), np.zeros(len(inputs))
    meta = _meta(inputs, seed)
    for fold in range(FOLDS):
        held = folds == fold
        fitted = LightGBM().fit(_lesson(encoded.filter(pa.array(~held)), answers[~held], meta))
        scores[held] = fitted.predict(encoded.filter(pa.array(held)))
        gains += fitted.importance()
    order = [place for place in np.argsort(-gains, kind="stable")[:MOST_NAMED] if gains[place] > 0]
    sizes = before.num_rows, after.num_rows
    return Told(
        _auc(answers, scores),
        tuple(inputs[place].name for place in order),
        0.5 + ONCE_IN_A_THOUSAND * _deviation(*sizes),
    )


def _folds(before: int, after: int, seed: int) -> Array:
    """Return the fold of each row, so that each fold has as many of both samples as the others."""
    chance = np.random.default_rng(seed)
    return np.concatenate([chance.permutation(np.arange(rows) % FOLDS) for rows in (before, after)])


def _auc(answers: Array, scores: Array) -> float:
    """Return the share of pairs, one row of each sample, that are in order; a tie counts as half."""
    ranks, after = rankdata(scores), int(answers.sum())
    return float((ranks[answers > 0].sum() - after * (after + 1) / 2) / (after * (len(answers) - after)))


def _deviation(before: int, after: int) -> float:
    """Return the standard deviation of the AUC of two samples of one world (H. Mann and D. Whitney, 1947)."""
    return float(((before + after + 1) / (12 * before * after)) ** 0.5)


def _meta(inputs: Sequence[Input], seed: int) -> Meta:
    never = datetime.min.replace(tzinfo=UTC)
    return Meta(
        inputs=list(inputs), label="is of the window", time="", params=PARAMS, trees=TREES, seed=seed,
        train_from=never, train_to=never, rows=0,
    )  # fmt: skip


def _lesson(rows: pa.Table, answers: Array, meta: Meta) -> Lesson:
    return Lesson(rows, answers, None, None, meta, lambda _: None, Beside(Path(), ""))
