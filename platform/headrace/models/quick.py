"""A stored model as a server asks it: rows one by one, at once, with as little loaded as its trainer needs."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import Refused, StoreError
from headrace.models.meta import Input, Meta, load_meta
from headrace.models.native import Row, Trees
from headrace.models.parse import parse_apart
from headrace.models.tuned import FILE, Tuned
from headrace.store.models import Models

_TREES = "model.txt"
Values = Mapping[str, Any]
Matrix = Any


class Quick:
    """A model that is ready to answer. Any number of threads may ask it."""

    def __init__(
        self, digest: str, meta: Meta, tuned: Tuned, predict: Callable[[Matrix], Any], row: Any = None
    ) -> None:
        self.digest, self.meta, self.tuned = digest, meta, tuned
        self._predict, self._row = predict, row
        self._local = threading.local()
        self._names = [column.name for column in meta.inputs]
        self._codes = [
            (place, {category: float(code) for code, category in enumerate(column.categories)})
            for place, column in enumerate(meta.inputs)
            if column.kind == "categorical"
        ]

    @property
    def inputs(self) -> Sequence[Input]:
        """The columns that it needs."""
        return self.meta.inputs

    def one(self, row: Values) -> float:
        """Return the score of one row: see `Predictor.predict`. Raises KeyError for a row without one of the inputs."""
        return self.scored(self.encoded(row))

    def scored(self, values: Sequence[float]) -> float:
        """Return the score of one row that is encoded."""
        raw = self._asked(values) if self._row else float(self._predict(np.array([values]))[0])
        return float(self.tuned.apply(np.array([raw]))[0]) if self.tuned.calibration else raw

    def decides(self, score: float | None) -> bool | None:
        """Return whether a score is decided as positive; None where no threshold was learned, or there is no score."""
        threshold = self.tuned.threshold
        return None if threshold is None or score is None else score >= threshold

    def many(self, rows: Sequence[Values]) -> Any:
        """Return one float64 a row, in row order."""
        return self.scores(self.matrix(rows))

    def matrix(self, rows: Sequence[Values]) -> Matrix:
        """Return float64, rows x inputs: see `encoded`."""
        return np.array([self.encoded(row) for row in rows], np.float64)

    def scores(self, matrix: Matrix) -> Any:
        """Return one float64 a row of rows that are encoded."""
        return self.tuned.apply(self._predict(matrix))

    def encoded(self, row: Values) -> list[float]:
        """Return a row's inputs as numbers: categories as their codes, what is missing or never seen as NaN."""
        values: list[Any] = [math.nan if (value := row[name]) is None else value for name in self._names]
        for place, codes in self._codes:
            values[place] = codes.get(values[place], math.nan)
        return values

    def accepts(self, types: pa.Schema) -> None:
        """Raise Refused where columns lack an input, or hold texts where the model saw numbers, or numbers for texts."""
        for column in self.inputs:
            if column.name not in types.names:
                raise Refused(
                    f"Model {self.digest[:12]} needs '{column.name}', which neither a request nor the published features have: "
                    "publish the features that it was trained on."
                )
            of = types.field(column.name).type
            is_text = pa.types.is_string(of) or pa.types.is_large_string(of) or pa.types.is_string_view(of)
            if not pa.types.is_null(of) and is_text != (column.kind == "categorical"):
                raise Refused(
                    f"Column '{column.name}' is {column.kind} for model {self.digest[:12]}, but {of} in what is served: a model "
                    "scores the types that it was trained on. Train again."
                )

    def contributions(self, rows: Sequence[Values]) -> Any | None:
        """Return float64, rows x (inputs + 1): Shapley values of the raw score, at the end what it is without them; or None."""
        trees = self._row.__self__ if self._row else None
        return trees.contributions(np.array([self.encoded(row) for row in rows])) if trees else None

    def _asked(self, values: Sequence[float]) -> float:
        """Return the raw score of one row by what this thread has prepared."""
        row: Row | None = getattr(self._local, "row", None)
        if row is None:
            row = self._local.row = self._row()
        return row(values)


def load_quick(models: Models, digest: str) -> Quick:
    """Return a stored model; raises DigestMismatch if a byte of it is not as it was stored.

    Its bytes are parsed here only after a process of its own has parsed them: raises StoreError where that process ends.
    """
    meta = load_meta(models, digest)
    tuned = Tuned.model_validate_json(models.get(digest, FILE)) if meta.tuned else Tuned()
    if meta.trainer != "lightgbm":
        return _by_its_trainer(models, digest, meta, tuned)
    data = models.get(digest, _TREES)
    parse_apart(models, digest, meta, data)
    trees = Trees(data)
    if trees.inputs != len(meta.inputs):
        raise StoreError(f"Model {digest[:12]} has {trees.inputs} inputs, and {len(meta.inputs)} are written with it.")
    return Quick(digest, meta, tuned, trees.predict, trees.row)


def _by_its_trainer(models: Models, digest: str, meta: Meta, tuned: Tuned) -> Quick:
    from headrace.models.trainer import trainer_of

    trainer, names = trainer_of(meta.trainer), [column.name for column in meta.inputs]
    data = models.get(digest, trainer.form)
    parse_apart(models, digest, meta, data)
    fitted = trainer.from_bytes(data, meta)

    def predict(matrix: Matrix) -> Any:
        columns = [pa.array(matrix[:, place], from_pandas=True) for place in range(len(names))]
        return np.asarray(fitted.predict(pa.table(columns, names=names)), np.float64)

    return Quick(digest, meta, tuned, predict)
