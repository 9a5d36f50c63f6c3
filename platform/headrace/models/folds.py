"""Rolling origin: the same model trained at several moments, each time judged on the span that came next.

Source: L. J. Tashman, Out-of-sample tests of forecasting accuracy, International Journal of Forecasting 16 (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.fit import fit_model
from headrace.models.headline import NUMBERS, Asked, Headline, headline
from headrace.models.split import Split, older_splits
from headrace.models.train import NOWHERE
from headrace.models.trainer import Beside, Say
from headrace.models.words import Task

RECORD = "folds"


@dataclass(frozen=True)
class Fold:
    """One origin: how many rows were learned from, which span was judged, and how well that went."""

    learned: int
    first: datetime
    last: datetime
    rows: int
    found: Headline

    def listed(self, task: Task) -> dict[str, Any]:
        """Return the fold as a row of a table."""
        span = {"from": f"{self.first:%Y-%m-%d %H:%M}", "to": f"{self.last:%Y-%m-%d %H:%M}"}
        return {"learned": self.learned, **span, "rows": self.rows, **self.found.listed(task)}


def judged_on(test: pa.Table, label: Label, model: Model, scores: Any) -> Headline:
    """Return how scores of test rows came true."""
    return headline(model.task, asked_of(test, label, model), scores)


def asked_of(rows: pa.Table, label: Label, model: Model) -> Asked:
    """Return what is known of the rows that are scored."""
    groups = pc.dictionary_encode(rows[model.group].combine_chunks()).indices.to_numpy() if model.group else None
    return Asked(rows[label.column].cast(pa.float64()).to_numpy(), groups, model.quantile)


def fold_of(split: Split, label: Label, found: Headline) -> Fold:
    """Return a fold that was judged."""
    span = pc.min_max(split.test[label.time]).as_py()
    return Fold(split.train.num_rows, span["min"], span["max"], split.test.num_rows, found)


def older_folds(rows: pa.Table, label: Label, model: Model, say: Say, beside: Beside = NOWHERE) -> list[Fold]:
    """Return the folds before the newest one, oldest first: a model is trained for each. None where none are declared.

    Each is calibrated on its own training rows, as the newest is on its: what is judged is the model as it would be in use.
    """
    found = []
    for number, split in enumerate(older_splits(rows, label, model.split), start=1):
        try:
            found.append(_fold(split, label, model, say, beside))
        except DataError as error:
            raise type(error)(f"Fold {number} of {model.split.folds}: {error}") from error
    return found


def summary(folds: Sequence[Fold], model: Model) -> dict[str, Any]:
    """Return the folds with mean and spread (the standard deviation of a sample) of the task's first number."""
    metric = NUMBERS[model.task][0]
    known = [fold.found.numbers[metric] for fold in folds if metric in fold.found.numbers]
    return {
        "metric": metric,
        "mean": float(np.mean(known)) if known else None,
        "spread": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "folds": [fold.listed(model.task) for fold in folds],
    }


def _fold(split: Split, label: Label, model: Model, say: Say, beside: Beside) -> Fold:
    scores = fit_model(split.train, label, model, say, beside).predictor.predict(split.test)
    return fold_of(split, label, judged_on(split.test, label, model, scores))
