"""Scores by a stored model: its bytes are checked, and nothing is unpickled."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.features.training import SCORED
from headrace.models.encode import encode
from headrace.models.meta import Input, Meta, load_meta
from headrace.models.parse import parse_apart
from headrace.models.trainer import Fitted, trainer_of
from headrace.models.tuned import FILE, Tuned
from headrace.store.models import Models

SCORE, MODEL, RELEASE, VERSIONS = SCORED
"""The columns that every table of scores has beside the rows' own."""


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to score."""

    fitted: Fitted
    meta: Meta
    tuned: Tuned = field(default_factory=Tuned)

    @property
    def inputs(self) -> list[Input]:
        """The columns that it needs."""
        return self.meta.inputs

    def predict(self, rows: pa.Table) -> Any:
        """Return one float64 a row, in row order: a probability, a value, a quantile or a score to rank by."""
        return self.tuned.apply(self.fitted.predict(encode(rows, self.inputs))) if rows.num_rows else np.array([])


def load_predictor(models: Models, digest: str) -> Predictor:
    """Return a stored model; raises DigestMismatch if a byte of it is not as it was stored.

    Its bytes are parsed here only after a process of its own has parsed them: raises StoreError where that process ends.
    """
    meta, (_, data) = load_meta(models, digest), stored_file(models, digest)
    parse_apart(models, digest, meta, data)
    tuned = Tuned.model_validate_json(models.get(digest, FILE)) if meta.tuned else Tuned()
    return Predictor(trainer_of(meta.trainer).from_bytes(data, meta), meta, tuned)


def stored_file(models: Models, digest: str) -> tuple[str, bytes]:
    """Return the name and the bytes of the file that a model's trainer wrote; raises DigestMismatch as `load_predictor`."""
    name = trainer_of(load_meta(models, digest).trainer).form
    return name, models.get(digest, name)


def score_rows(rows: pa.Table, predictor: Predictor) -> Any:
    """Return one number a row, in row order: see `Predictor.predict`."""
    return predictor.predict(rows)
