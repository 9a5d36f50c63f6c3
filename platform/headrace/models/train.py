"""Training: the same rows, parameters and seed give the same bytes."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, DeclarationError
from headrace.core.names import did_you_mean
from headrace.core.user_code import files_of, load_function
from headrace.features.declaration import Label
from headrace.models.answers import answers_of, group_sizes, weights_of
from headrace.models.declaration import Model
from headrace.models.encode import encode, inputs_of
from headrace.models.federated.sites import standing_of
from headrace.models.harden import fit_hardened
from headrace.models.meta import HeldOut, Meta
from headrace.models.trainer import Beside, Fitted, Lesson, Say, trainer_for, trainer_of

NOWHERE = Beside(Path(), "")
"""For trainers that stand nowhere beside a declaration."""


@dataclass(frozen=True)
class Trained:
    """A model, and what belongs to it."""

    fitted: Fitted
    meta: Meta
    plain: Fitted | None = None
    """Of a hardened model, the one that is not."""

    @property
    def files(self) -> dict[str, bytes]:
        """The model as it is stored: its bytes, and what belongs to them."""
        form = trainer_of(self.meta.trainer).form
        return {form: self.fitted.to_bytes(), "meta.json": self.meta.model_dump_json().encode()}


def train_model(rows: pa.Table, label: Label, model: Model, say: Say = print, beside: Beside = NOWHERE) -> Trained:
    """Return a model of the rows, in the order given; of a ranking group by group, each in the order given.

    `beside` says where a trainer of the user's own stands.

    Raises NoRows for none, OneClassOnly for a label that is the same on every row, DataError where nothing can be an
    input or labels are not of the task's kind, DeclarationError for parameters that the trainer refuses, StoreError where
    a cluster that it learns on is away or loses a worker.
    """
    _refuse_unknown_columns(rows, model)
    if model.group:
        rows = rows.take(pc.sort_indices(rows[model.group]))
    lesson = lesson_of(rows, label, model, say, beside)
    trainer = trainer_for(model)
    if model.harden:
        hardened, plain = fit_hardened(trainer, lesson)
        return Trained(hardened, lesson.meta, plain)
    return Trained(trainer.fit(lesson), lesson.meta)


def lesson_of(rows: pa.Table, label: Label, model: Model, say: Say = print, beside: Beside = NOWHERE) -> Lesson:
    """Return what the model's trainer learns from."""
    answers = answers_of(rows, label, model.task)
    inputs = inputs_of(rows, [label.entity, label.column, label.time, *model.no_inputs])
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
        trainer=model.learner,
        task=model.task,
        quantile=model.quantile,
        device=model.device,
        harden=model.harden,
        workers=model.workers.workers if model.workers else None,
        code=_code(model, beside),
        held_out=HeldOut(column=model.split.column, share=model.split.share) if model.split.column else None,
    )
    groups = group_sizes(rows, model.group) if model.group else None
    standing = standing_of(rows, model.federated) if model.federated else None
    weights = weights_of(rows, model, answers)
    return Lesson(encode(rows, inputs), answers, weights, groups, meta, say, beside, model.workers, standing)


def _code(model: Model, beside: Beside) -> dict[str, str]:
    """Return the digests of the files of a trainer of the user's own; none for the built-in ones."""
    if not model.is_own:
        return {}
    load_function(beside.folder, beside.product, model.learner)
    files = files_of(beside.folder, model.learner.partition(":")[0])
    return {name: sha256(text).hexdigest() for name, text in files.items()}


def importance(trained: Trained) -> dict[str, float]:
    """Return each input's share of what the model gains, the greatest first; none where the model does not say."""
    gains = trained.fitted.importance()
    if gains is None:
        return {}
    total = float(sum(gains)) or 1.0
    shares = {column.name: float(gain) / total for column, gain in zip(trained.meta.inputs, gains, strict=True)}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _refuse_unknown_columns(rows: pa.Table, model: Model) -> None:
    named: dict[str, list[str | None]] = {"ignore": [*model.ignore], "weight": [model.weight], "group": [model.group]}
    for key, names in named.items():
        for name in names:
            if name and name not in rows.column_names:
                raise DeclarationError(
                    f"`{key}` names '{name}', which is no column of the training set.{did_you_mean(name, rows.column_names)}",
                    ("model", key),
                )
