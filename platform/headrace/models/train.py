"""Training: the same rows, parameters and seed give the same bytes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from headrace.core.errors import DataError, DeclarationError, NoRows, OneClassOnly
from headrace.core.names import did_you_mean, duration_text
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.encode import Input, encode, inputs_of

FIXED = {"objective": "binary", "verbose": -1, "deterministic": True, "force_row_wise": True}
"""What makes LightGBM give the same bytes on one thread and on two."""
TELL_EVERY = 50
Say = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """Rows to learn from, and rows to be judged on: asked after the labels of all the former were known."""

    train: pa.Table
    test: pa.Table


class Meta(BaseModel):
    """What belongs to a model's bytes: its inputs, how it was trained, on which span of prediction times."""

    inputs: list[Input]
    label: str
    time: str
    params: dict[str, Any]
    trees: int
    seed: int
    train_from: datetime
    train_to: datetime
    rows: int


@dataclass(frozen=True)
class Trained:
    """A model as bytes (LightGBM's own text), and what belongs to it."""

    text: bytes
    meta: Meta


def canonical(rows: pa.Table, label: Label) -> pa.Table:
    """Return the rows by time and entity, the order that a store need not keep and the model's bytes depend on."""
    return rows.sort_by([(label.time, "ascending"), (label.entity, "ascending")])


def split_by_time(rows: pa.Table, label: Label, test: timedelta) -> Split:
    """Return the rows split at the newest prediction time less `test`; raises NoRows where a side would be empty.

    Rows whose labels were not known yet when the test begins are in neither part: a model that is in use could not have
    learned from them. Source: the embargo of M. Lopez de Prado, Advances in Financial Machine Learning (2018), 7.4.2.
    """
    times = rows[label.time]
    newest = pc.max(times).as_py()
    if newest is None:
        raise NoRows("The training set is empty: nothing can be learned. Ingest days whose labels are known.")
    cut = newest - test
    known = pc.less_equal(times, pa.scalar(cut - label.known_after, times.type))
    split = Split(rows.filter(known), rows.filter(pc.greater(times, pa.scalar(cut, times.type))))
    if not split.train.num_rows:
        raise NoRows(
            f"All {rows.num_rows} labelled rows lie within the test span of {duration_text(test)} or the "
            f"{duration_text(label.known_after)} before it, in which no label was known yet: nothing is left to train on. "
            "Ingest more history, or make `model.split.test` shorter."
        )
    return split


def train_model(rows: pa.Table, label: Label, model: Model, say: Say = print) -> Trained:
    """Return a LightGBM model of the rows, in the order given.

    Raises NoRows for none, OneClassOnly for a label without two classes, DataError where nothing can be an input,
    DeclarationError for parameters that LightGBM refuses.
    """
    answers = _answers(rows, label)
    _refuse_unknown_columns(rows, model)
    inputs = inputs_of(rows, [label.entity, label.column, label.time, *model.ignore])
    if not inputs:
        raise DataError(
            f"The training set has no column to learn from; it has {rows.column_names}. Declare some features."
        )
    span = pc.min_max(rows[label.time]).as_py()
    meta = Meta(
        inputs=inputs,
        label=label.column,
        time=label.time,
        params=model.params,
        trees=model.trees,
        seed=model.seed,
        train_from=span["min"],
        train_to=span["max"],
        rows=rows.num_rows,
    )
    return Trained(_boosted(encode(rows, inputs), answers, meta, say), meta)


def importance(text: bytes, inputs: list[Input]) -> dict[str, float]:
    """Return each input's share of the total gain, the greatest first."""
    import lightgbm as lgb

    gains = lgb.Booster(model_str=text.decode()).feature_importance("gain")
    total = float(gains.sum()) or 1.0
    shares = {column.name: float(gain) / total for column, gain in zip(inputs, gains, strict=True)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _boosted(encoded: pa.Table, answers: Any, meta: Meta, say: Say) -> bytes:
    """Return the text of a booster."""
    import lightgbm as lgb

    params = {**meta.params, **FIXED, "seed": meta.seed}
    categorical = [number for number, column in enumerate(meta.inputs) if column.kind == "categorical"]
    # LightGBM refuses brackets, quotes, commas and colons in names.
    names = [re.sub(r"\W", "_", column.name) for column in meta.inputs]
    try:
        data = lgb.Dataset(encoded.rename_columns(names), answers, categorical_feature=categorical, params=params)
        booster = lgb.train(params, data, num_boost_round=meta.trees, callbacks=[_progress(meta.trees, say)])
    except lgb.basic.LightGBMError as error:
        raise DeclarationError(
            f"LightGBM refuses to train with params {meta.params}: {error}", ("model", "params")
        ) from error
    text: str = booster.model_to_string(num_iteration=-1)
    return text.encode()


def _answers(rows: pa.Table, label: Label) -> Any:
    """Return the label as 0.0 and 1.0."""
    if not rows.num_rows:
        raise NoRows("There is no row to train on: no label of the training span is known.")
    answers = rows[label.column].cast(pa.float64()).to_numpy()
    classes = np.unique(answers)
    if not set(classes) <= {0.0, 1.0}:
        raise DataError(f"{label.sql}: {label.column} must be 0 or 1 (or a boolean); it holds {classes[:5].tolist()}.")
    if len(classes) < 2:
        raise OneClassOnly(
            f"All {len(answers)} training rows have {label.column} = {classes[0]:g}: nothing can be learned. "
            f"Look at {label.sql} and at the rows behind it."
        )
    return answers


def _refuse_unknown_columns(rows: pa.Table, model: Model) -> None:
    for name in model.ignore:
        if name not in rows.column_names:
            raise DeclarationError(
                f"`ignore` names '{name}', which is no column of the training set.{did_you_mean(name, rows.column_names)}",
                ("model", "ignore"),
            )


def _progress(trees: int, say: Say) -> Callable[[Any], None]:
    def tell(state: Any) -> None:
        done = state.iteration + 1
        if done % TELL_EVERY == 0 or done == trees:
            say(f"{done} of {trees} trees")

    return tell
