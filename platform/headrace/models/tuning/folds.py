"""Where trials are judged: on spans or groups of the training rows that were not learned from. The test takes no part."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, NoRows
from headrace.features.declaration import Label
from headrace.models import declaration
from headrace.models.declaration import Model
from headrace.models.folds import judged_on
from headrace.models.headline import NUMBERS
from headrace.models.predict import Predictor
from headrace.models.split import Split, older_splits, split_by_time, split_off_groups
from headrace.models.train import train_model
from headrace.models.trainer import Beside

FOLDS = 3
PARTS = 5
"""Each fold judges one of the last three fifths of the training span; of a split by group one of three fifths of the groups."""


@dataclass(frozen=True)
class Task:
    """What each trial does but for its parameters."""

    label: Label
    model: Model
    beside: Beside


def validation_folds(rows: pa.Table, label: Label, split: declaration.Split) -> list[Split]:
    """Return three splits of training rows, made as the test is split off.

    By time the oldest is first, and between both parts of each lies the label's `known_after`; by group no group is on both
    sides, and none is judged twice. Raises NoRows where a part would be empty.
    """
    if split.column is not None:
        places = [(part / PARTS, (part + 1) / PARTS) for part in range(PARTS - FOLDS, PARTS)]
        return [split_off_groups(rows, split.column, "tuning", place) for place in places]
    span = pc.min_max(rows[label.time]).as_py()
    if span["min"] is None:
        raise NoRows("There is no training row to tune on.")
    part = timedelta(seconds=max(int((span["max"] - span["min"]).total_seconds() / PARTS), 1))
    declared = declaration.Split(test=part, folds=FOLDS)
    try:
        return [*older_splits(rows, label, declared), split_by_time(rows, label, part)]
    except NoRows as error:
        raise NoRows(
            f"{rows.num_rows} training rows from {span['min']:%Y-%m-%d %H:%M} to {span['max']:%Y-%m-%d %H:%M} are too few to tune "
            f"on: {FOLDS} of {PARTS} parts of that span are judged, each by what was known before it, one `known_after` earlier. "
            "Ingest more history, make `model.split.test` shorter, or leave `model.tune` out."
        ) from error


def fold_value(fold: Split, task: Task, params: Mapping[str, Any]) -> float | None:
    """Return the first number of the task on a fold, of a model with these parameters over those declared; None for no number.

    Raises DeclarationError for parameters that the trainer refuses.
    """
    model = with_params(task.model, params)
    trained = train_model(fold.train, task.label, model, _silent, task.beside)
    scores = Predictor(trained.fitted, trained.meta).predict(fold.test)
    return judged_on(fold.test, task.label, model, scores).numbers.get(NUMBERS[model.task][0])


def default_value(value: float | None, number: int, task: Task) -> float:
    """Return what the declared parameters reach on a fold; raises DataError where that cannot be told: nothing can be tuned then."""
    if value is None:
        raise DataError(
            f"Fold {number + 1} of {FOLDS}, on which parameters are judged, has no {NUMBERS[task.model.task][0]}: all of its rows "
            "have the same label, or scores are no numbers. Ingest more history, or leave `model.tune` out."
        )
    return value


def with_params(model: Model, params: Mapping[str, Any]) -> Model:
    """Return the model with some parameters over those declared, and nothing to search for."""
    return model.model_copy(update={"params": {**model.params, **params}, "tune": None})


def _silent(_: str) -> None:
    """Take progress without a word."""
