"""Training: the same rows, parameters and seed give the same bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel

from headrace.core.errors import NoRows, OneClassOnly
from headrace.features.declaration import Label
from headrace.models.declaration import Model
from headrace.models.encode import Input, encode, inputs_of

FIXED = {"objective": "binary", "verbose": -1, "deterministic": True, "force_row_wise": True}
"""What makes LightGBM give the same bytes on one thread and on two."""
TELL_EVERY = 50
Say = Callable[[str], None]


@dataclass(frozen=True)
class Split:
    """Rows to learn from, and newer rows to be judged on."""

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


def split_by_time(rows: pa.Table, time: str, test: timedelta) -> Split:
    """Return the rows split at the newest prediction time less `test`; raises NoRows where a side would be empty."""
    newest = pc.max(rows[time]).as_py()
    if newest is None:
        raise NoRows("The training set is empty.")
    cut = pa.scalar(newest - test, rows.schema.field(time).type)
    older = pc.less_equal(rows[time], cut)
    split = Split(rows.filter(older), rows.filter(pc.invert(older)))
    if not split.train.num_rows:
        raise NoRows(
            f"All {rows.num_rows} labelled rows lie within the test span of {test}: nothing is left to train on. "
            "Ingest more history, or make `model.split.test` shorter."
        )
    return split


def train_model(rows: pa.Table, label: Label, model: Model, say: Say = print) -> Trained:
    """Return a LightGBM model of the rows, in their canonical order; raises OneClassOnly for a label without two classes."""
    answers = rows[label.column].to_numpy().astype(np.float64)
    _refuse_one_class(answers, label)
    inputs = inputs_of(rows, [label.entity, label.column, label.time, *model.ignore])
    params = {**FIXED, "seed": model.seed, **model.params}
    categorical = [i for i, column in enumerate(inputs) if column.kind == "categorical"]
    data = lgb.Dataset(encode(rows, inputs), answers, categorical_feature=categorical, params=params, free_raw_data=True)
    booster = lgb.train(params, data, num_boost_round=model.trees, callbacks=[_progress(model.trees, say)])
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
    return Trained(booster.model_to_string(num_iteration=-1).encode(), meta)


def importance(text: bytes, inputs: list[Input]) -> dict[str, float]:
    """Return each input's share of the total gain, the greatest first."""
    gains = lgb.Booster(model_str=text.decode()).feature_importance("gain")
    total = float(gains.sum()) or 1.0
    shares = {column.name: float(gain) / total for column, gain in zip(inputs, gains, strict=True)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _refuse_one_class(answers: Any, label: Label) -> None:
    classes = np.unique(answers)
    if len(classes) < 2:
        raise OneClassOnly(
            f"All {len(answers)} training rows have {label.column} = {classes[0]:g}: nothing can be learned. "
            f"Look at {label.sql} and at the rows behind it."
        )


def _progress(trees: int, say: Say) -> Callable[[Any], None]:
    def tell(state: Any) -> None:
        done = state.iteration + 1
        if done % TELL_EVERY == 0 or done == trees:
            say(f"{done} of {trees} trees")

    return tell
