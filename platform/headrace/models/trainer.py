"""What a trainer is: rows in, a model out that predicts one number a row and is stored as bytes.

The trainers themselves stand in `trainers/`, one library in each file; a library is imported where it is used.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.core.user_code import PLACE
from headrace.models.declaration import Model
from headrace.models.federated.sites import Standing
from headrace.models.meta import Meta
from headrace.models.spread.declaration import Workers
from headrace.models.trainers.federated import Federated
from headrace.models.trainers.lightgbm import LightGBM
from headrace.models.trainers.own import OwnTrainer
from headrace.models.trainers.sklearn import PREFIX, ScikitLearn
from headrace.models.trainers.torch import Torch
from headrace.models.trainers.xgboost import XGBoost

Say = Callable[[str], None]


@dataclass(frozen=True)
class Beside:
    """Where the files beside a product's declaration lie, and where a cluster is and finds its rows, or Flower is."""

    folder: Path
    product: str
    ray_address: str | None = None
    """The head of the Ray cluster, `host:port`, if the project has one."""
    lessons: Path = Path()
    """The folder that the rows for workers lie in meanwhile, which all nodes reach."""
    flower_python: Path | None = None
    """The interpreter of the environment that Flower is in, if the project has one."""


@dataclass(frozen=True)
class Lesson:
    """What a trainer learns from."""

    rows: pa.Table
    """One float64 column an input, in the order of `meta.inputs`: categories as codes from 0 on, null for what is missing."""
    answers: Any
    """What came true, a float64 a row."""
    weights: Any | None
    """How much each row counts, a float64 a row; None where all count the same."""
    groups: Any | None
    """For ranking: how many rows each group has. The rows of a group stand together."""
    meta: Meta
    say: Say
    beside: Beside
    """Where a user's own code stands."""
    workers: Workers | None = None
    """Who learns together, where a cluster does."""
    standing: Standing | None = None
    """For training over sites: which row stands at which."""


class Fitted(Protocol):
    """A model that is ready to score."""

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row: a probability, a value, a quantile or a score to rank by."""

    def to_bytes(self) -> bytes:
        """Return the model as bytes, the same for the same model."""

    def importance(self) -> Sequence[float] | None:
        """Return how much each input matters, in the order of the inputs; None where the model does not say."""


@runtime_checkable
class Explained(Protocol):
    """A model that explains itself."""

    def contributions(self, encoded: pa.Table) -> Any:
        """Return float64, rows x (inputs + 1): Shapley values of the raw score, and at the end what it is without them."""


class Trainer(Protocol):
    """One way to learn."""

    @property
    def form(self) -> str:
        """The name of the file that holds the model's bytes."""

    @property
    def libraries(self) -> Sequence[str]:
        """The distributions whose versions belong to what a model is made of."""

    def fit(self, lesson: Lesson) -> Fitted:
        """Return a model of the lesson; the same lesson gives the same bytes. Raises DeclarationError for other params."""

    def from_bytes(self, data: bytes, meta: Meta) -> Fitted:
        """Return the model whose bytes they are. They are those that were stored: see `load_predictor`."""


def trainer_of(name: str) -> Trainer:
    """Return the trainer of that name; raises DeclarationError where there is none."""
    if name.startswith(PREFIX):
        return ScikitLearn(name.removeprefix(PREFIX))
    if re.fullmatch(PLACE, name):
        return OwnTrainer(name)
    if name not in TRAINERS:
        raise DeclarationError(f"there is no trainer '{name}'; there are {', '.join(TRAINERS)}.", ("model", "trainer"))
    return TRAINERS[name]()


def trainer_for(model: Model) -> Trainer:
    """Return the trainer that a declaration asks for; its models are those of `trainer_of` its name."""
    return _spread() if model.workers else trainer_of(model.learner)


def _spread() -> Trainer:
    """Return the trainer of those that workers of a cluster learn together by: LightGBM's."""
    from headrace.models.spread.trainer import SpreadLightGBM

    return SpreadLightGBM()


def kind_of(name: str) -> str:
    """Return the word by which the UI shows a trainer."""
    own = "python" if re.fullmatch(PLACE, name) else name
    return "scikitlearn" if name.startswith(PREFIX) else own


TRAINERS: dict[str, Callable[[], Trainer]] = {
    "lightgbm": LightGBM,
    "xgboost": XGBoost,
    "torch": Torch,
    "federated": Federated,
}
