"""What came true, by task; how much each row counts; which rows are ranked against each other."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, NoRows, OneClassOnly
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.words import Task

SHOWN = 5


def answers_of(rows: pa.Table, label: Label, task: Task) -> Any:
    """Return the label of each row as a float64.

    Raises NoRows for none, OneClassOnly where it is the same on every row, DataError where it is not of the task's kind:
    0 and 1 for a classification, whole grades from 0 on for a ranking, any finite numbers otherwise.
    """
    if not rows.num_rows:
        raise NoRows("There is no row to train on: no label of the training span is known.")
    answers = rows[label.column].cast(pa.float64()).to_numpy()
    values = np.unique(answers)
    _refuse_other_kind(values, label, task)
    if len(values) < 2:
        raise OneClassOnly(
            f"All {len(answers)} training rows have {label.column} = {values[0]:g}: nothing can be learned. "
            f"Look at {label.sql} and at the rows behind it."
        )
    return answers


def weights_of(rows: pa.Table, model: Model, answers: Any) -> Any | None:
    """Return how much each row counts, its own weight times that of its class; None where all count the same.

    `balanced` makes what the rows of both classes weigh, their own weights included, the same in sum. Raises DataError for
    what is no weight, or where no row of a class counts.
    """
    own = _own_weights(rows, model.weight) if model.weight else None
    if model.class_weight is None:
        return own
    given = model.class_weight
    of_class = _balanced(answers, own, model) if given == "balanced" else {0: 1.0, 1: 1.0} | given
    by_class = np.where(answers == 1, of_class[1], of_class[0])
    return by_class if own is None else own * by_class


def _balanced(answers: Any, own: Any | None, model: Model) -> dict[int, float]:
    rows = np.ones(len(answers)) if own is None else own
    sums = {value: float(rows[answers == value].sum()) for value in (0, 1)}
    for value, weight in sums.items():
        if not weight:
            raise DataError(
                f"Every row of class {value} has the weight 0 in '{model.weight}': `class_weight: balanced` has nothing to "
                "balance. Look at the label's SQL, or leave `class_weight` out."
            )
    return {value: sum(sums.values()) / (2 * weight) for value, weight in sums.items()}


def _own_weights(rows: pa.Table, column: str) -> Any:
    if rows.schema.field(column).type in (pa.string(), pa.large_string()):
        raise DataError(f"`weight` names '{column}', which holds texts: a weight is a number, at least 0.")
    weights = rows[column].cast(pa.float64()).fill_null(np.nan).to_numpy()
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if len(wrong):
        raise DataError(
            f"{len(wrong)} of {len(weights)} rows have a weight in '{column}' that is missing, negative or no finite "
            f"number, such as {wrong[0]:g}: make each at least 0 in the label's SQL."
        )
    if not weights.any():
        raise DataError(f"Every weight in '{column}' is 0: nothing can be learned. Look at the label's SQL.")
    return weights


def group_sizes(rows: pa.Table, column: str) -> Any:
    """Return how many rows each group has; the rows of a group stand together. Raises DataError where a row is in none."""
    if rows[column].null_count:
        raise DataError(
            f"{rows[column].null_count} rows have no '{column}': each row needs a group to be ranked within."
        )
    counted = pc.value_counts(rows[column].combine_chunks())
    return np.array([count["counts"] for count in counted.to_pylist()])


def _refuse_other_kind(values: Any, label: Label, task: Task) -> None:
    shown = [float(f"{value:g}") for value in values[:SHOWN]]
    whole = bool(np.isfinite(values).all()) and bool((values == np.floor(values)).all())
    two = set(values) <= {0.0, 1.0}
    if task == "classification" and not two:
        raise DataError(
            f"{label.sql}: {label.column} must be 0 or 1 (or a boolean); it holds {shown}. For numbers say "
            "`task: regression`. Of several classes a model tells one from the others: make 0 or 1 of it, such as "
            f"{label.column} = 2, in a product for each."
        )
    if task == "ranking" and not (whole and values[0] >= 0):
        raise DataError(
            f"{label.sql}: {label.column} must be a whole grade from 0 on for `task: ranking`, the greater the better; "
            f"it holds {shown}. For numbers say `task: regression`."
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{label.sql}: {label.column} is not a finite number on every row: leave such rows out, or make them null."
        )
    if task in ("regression", "quantile") and two and len(values) == 2:
        raise DataError(
            f"{label.sql}: {label.column} holds nothing but 0 and 1, which is no number to predict: say `task: classification`."
        )
