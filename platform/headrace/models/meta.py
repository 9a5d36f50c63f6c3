"""What belongs to a model's bytes: read wherever they are, also where nothing that trains is installed."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from headrace.models.device import Declared
from headrace.models.words import Task
from headrace.store.models import Models

ORIGIN = "origin"
"""What is recorded with a model of what it was made of, once a product."""
Kind = Literal["numeric", "categorical"]


class Input(BaseModel):
    """One input column of a model; a categorical one knows its categories, in code order."""

    name: str
    kind: Kind
    categories: list[str] = []


class HeldOut(BaseModel):
    """The groups that a model never learned from: those whose place, told by their own digest, lies below the share."""

    column: str
    share: float


class Meta(BaseModel):
    """What belongs to a model's bytes: its trainer, task and inputs, how it was trained, on which span of prediction times."""

    inputs: list[Input]
    label: str
    time: str
    params: dict[str, Any]
    trees: int
    seed: int
    train_from: datetime
    train_to: datetime
    rows: int
    trainer: str = "lightgbm"
    task: Task = "classification"
    quantile: float | None = None
    """Which quantile is predicted, for the task of that name."""
    tuned: bool = False
    """Whether a calibration or a threshold, learned on the newest of its rows, is stored beside it."""
    device: Declared = "cpu"
    """Where it was allowed to be trained."""
    harden: str | None = None
    """How it was made robust."""
    workers: int | None = None
    """How many workers of a cluster learned it together; None where it was learned by one process."""
    code: dict[str, str] = {}
    """Of a trainer of the user's own: file → digest of its text. The files are stored with the model."""
    held_out: HeldOut | None = None
    """With a split by group: which groups are the test."""


def load_meta(models: Models, digest: str) -> Meta:
    """Return what belongs to a stored model's bytes; raises DigestMismatch if a byte of it is not as it was stored."""
    return Meta.model_validate_json(models.get(digest, "meta.json"))


def load_training_run(models: Models, digest: str, product: str) -> str:
    """Return the id of the Dagster run that trained a model; empty where nobody has written it down.

    The run of MLflow that tells of the training bears it as the tag `dagster_run_id`.
    """
    origin = models.recorded(digest, f"{ORIGIN}.{product}") or {}
    return str(origin.get("run") or "")
