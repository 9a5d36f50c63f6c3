"""Scores by a stored model: its bytes are checked, and nothing is unpickled."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.features.training import SCORED
from headrace.models.encode import Input, encode
from headrace.models.train import Meta
from headrace.store.models import Models

if TYPE_CHECKING:
    import lightgbm as lgb

SCORE, MODEL, RELEASE = SCORED
"""The columns that every table of scores has beside the rows' own."""


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to score."""

    booster: "lgb.Booster"
    inputs: list[Input]


def load_predictor(models: Models, digest: str) -> Predictor:
    """Return a stored model; raises DigestMismatch if a byte of it is not as it was stored."""
    import lightgbm as lgb

    inputs = load_meta(models, digest).inputs
    return Predictor(lgb.Booster(model_str=models.get(digest, "model.txt").decode()), inputs)


def load_meta(models: Models, digest: str) -> Meta:
    """Return what belongs to a stored model's bytes; raises DigestMismatch if a byte of it is not as it was stored."""
    return Meta.model_validate_json(models.get(digest, "meta.json"))


def score_rows(rows: pa.Table, predictor: Predictor) -> Any:
    """Return one probability a row, in row order."""
    if not rows.num_rows:
        return np.array([])
    return predictor.booster.predict(encode(rows, predictor.inputs))
