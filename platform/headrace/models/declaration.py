"""What a user may say about the model."""

import math
import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    field_validator,
    model_validator,
)

from headrace.core.declaration import Declaration
from headrace.core.names import duration_text, parse_duration, parse_share, share_text
from headrace.core.user_code import PLACE
from headrace.models.device import Declared
from headrace.models.federated.declaration import Federated
from headrace.models.parameters import CLOSED, OF_CLASSES, refuse_unknown
from headrace.models.spread.declaration import LEARNER, Spread, Workers
from headrace.models.tuning.declaration import Tune
from headrace.models.words import Direction, Task

TRAINER = r"^(lightgbm|xgboost|torch|federated|[A-Za-z_]\w*[.]py:[A-Za-z_]\w*|sklearn:[A-Za-z_][\w.]*[.][A-Za-z_]\w*|sklearn:[A-Za-z_]\w*[.]py:[A-Za-z_]\w*)$"
BOOSTING = ("lightgbm", "xgboost", "federated")


def written_as(trainer: Any) -> str:
    """Return whether a trainer is written as a text, or as a mapping."""
    return "text" if isinstance(trainer, str) else "mapping"


Trainer = Annotated[
    Annotated[str, Field(pattern=TRAINER), Tag("text")] | Annotated[Spread, Tag("mapping")], Discriminator(written_as)
]


def parse_held_out(text: Any) -> Any:
    """Return the time span, or the share, that is held out."""
    if isinstance(text, int | float) or str(text).strip().endswith("%"):
        return parse_share(text)
    try:
        return parse_duration(text)
    except ValueError:
        raise ValueError(f"'{text}' is neither a time span, such as 28d, nor a share, such as 20%") from None


def held_out_text(test: timedelta | float) -> str:
    """Return a short text that `parse_held_out` reads back."""
    return duration_text(test) if isinstance(test, timedelta) else share_text(test)


class Split(Declaration):
    """How rows are held out for the test."""

    by: Literal["time", "group"] = "time"
    """`time`: the newest rows are the test. `group`: all rows of some values of `column` are, and no row of the others."""
    test: Annotated[
        timedelta | float,
        BeforeValidator(parse_held_out, json_schema_input_type=str),
        PlainSerializer(held_out_text, return_type=str),
    ]
    """How long the test span is, such as 28d. Rows of the label's `known_after` before it are left out: nobody knew their
    labels then. By group: about which share of the values is the test, such as 20%."""
    column: str | None = None
    """With `by: group`: the column of the training set that no value of is on both sides, such as a customer. May be an input."""
    folds: int = Field(default=1, ge=1, le=50)
    """With `by: time`: how many spans of this length are judged, each by a model of its own that learned from what was known
    before it; the newest is the candidate's own test."""

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "Split":
        spans = isinstance(self.test, timedelta)
        if (self.by == "time") != spans:
            raise ValueError(
                "`by: time` holds out a time span, such as test: 28d, and `by: group` a share, such as test: 20%"
            )
        if not (self.span > timedelta() if spans else 0 < self.share < 1):
            raise ValueError("`test` must be greater than 0, and a share less than 100%")
        if (self.by == "group") != (self.column is not None):
            raise ValueError("`by: group` and `column`, whose values stay together, go together")
        if self.by == "group" and self.folds > 1:
            raise ValueError("`folds` go with `by: time`: each is trained on what was known before it")
        return self

    @property
    def span(self) -> timedelta:
        """How long the test is, by time."""
        assert isinstance(self.test, timedelta)
        return self.test

    @property
    def history(self) -> timedelta:
        """How long all that is judged lasts: nothing is learned before that long has passed."""
        return self.span * self.folds if self.by == "time" else timedelta()

    @property
    def share(self) -> float:
        """About which part of the groups is the test."""
        assert not isinstance(self.test, timedelta)
        return self.test


class Evaluating(Declaration):
    """How a candidate is looked at. None of it changes the model."""

    slices: list[str] = Field(default=[])
    """Columns of the training set whose values are measured each, beside those that gates are `by`."""
    protected: list[str] = Field(default=[])
    """Columns between whose values the model should be fair: measured as slices, with the gaps between their values."""
    monotonic: dict[str, Direction] = Field(default={})
    """Inputs along which every score must rise (`increasing`) or fall (`decreasing`), all else equal: tested, not trained."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    """How sure intervals are, and how sure a candidate must be to be no worse than the champion allows."""


class Costs(Declaration):
    """What the two kinds of error cost, in any unit."""

    false_positive: float = Field(gt=0, allow_inf_nan=False)
    """A row that is decided as positive and is not."""
    false_negative: float = Field(gt=0, allow_inf_nan=False)
    """A row that is not decided as positive and is."""


class Model(Declaration):
    """What is trained, and on which columns."""

    trainer: Trainer = "lightgbm"
    """Who learns: `lightgbm`; `xgboost` or `torch` (a small net), which are extras; `sklearn:<import path>`, any estimator or
    pipeline of scikit-learn, such as sklearn:sklearn.linear_model.LogisticRegression, or `sklearn:<file>.py:<function>`,
    which returns one; `federated`, XGBoost's trees over sites that each keep their rows; or `<file>.py:<function>`, a trainer
    of your own. `{lightgbm: {on: ray, workers: 2}}`: LightGBM, by workers of a cluster together."""
    federated: Federated | None = None
    """With `trainer: federated`: which rows stand at which site."""
    task: Task = "classification"
    """What is predicted. `classification`: the probability that a label of 0 or 1 is 1; `regression`: the mean of a number;
    `quantile`: a quantile of it; `ranking`: a score by which the rows of a group are put in order, for grades from 0 on."""
    quantile: float | None = Field(default=None, gt=0, lt=1)
    """With `task: quantile`: which one, such as 0.9 for the value that nine of ten stay below."""
    group: str | None = None
    """With `task: ranking`: the column whose rows are ranked against each other, such as a query. It is no input."""
    weight: str | None = None
    """The column of the label's SQL that says how much a row counts in training, at least 0. It is no input."""
    class_weight: Literal["balanced"] | dict[int, float] | None = None
    """How much the rows of each class count, times their `weight`: `balanced` (both the same in sum, weights included), or {0: 1, 1: 5}. The
    scores of a model that is trained so are no longer probabilities of the classes as they come."""
    split: Split
    """What is held out."""
    params: dict[str, int | float | str | bool] = Field(default={})
    """The learner's own parameters, by its own first names: num_leaves, learning_rate, ..."""
    tune: Tune | None = None
    """Search for parameters on spans of the training rows; those that are found count over `params`, if they do better there."""
    trees: int = Field(default=200, ge=1)
    """Boosting rounds; of trainers that boost trees."""
    seed: int = 0
    """The seed of all chance."""
    device: Declared = "auto"
    """`auto`: on a graphics card where xgboost or torch can use one and one is there; what it gives differs from a processor's
    in the last digits. `cpu`: always on the processor, where the same rows give the same bytes."""
    ignore: list[str] = Field(default=[])
    """Columns of the training set that are no inputs. The label, its entity and all times never are."""
    calibrate: Literal["isotonic", "platt"] | None = None
    """Bring scores to the chances that come true, by a broken line (`isotonic`) or a logistic curve (`platt`), learned on the
    newest fifth of the training span (with `split: {by: group}` on a fifth of the groups), which the model is then not trained on."""
    costs: Costs | None = None
    """What errors cost. The threshold that costs least on the same rows as `calibrate` is learned on belongs to the model."""
    harden: Literal["adversarial"] | None = None
    """`adversarial`: learn from each row and from a copy that is moved a little against the model, so that small errors of
    measurement turn fewer scores. Robustness before and after is recorded. It trains twice, and costs a little on clean rows."""
    evaluation: Evaluating = Evaluating()
    """How it is measured and looked at."""

    @field_validator("class_weight")
    @classmethod
    def _weighs_two_classes(cls, weights: Any) -> Any:
        if isinstance(weights, dict) and (
            not set(weights) <= {0, 1} or not all(0 < w < math.inf for w in weights.values())
        ):
            raise ValueError(
                f"{weights} is not a weight above 0 for each of the classes 0 and 1, such as {{0: 1, 1: 5}}"
            )
        return weights

    @model_validator(mode="after")
    def _fits_its_trainer(self) -> "Model":
        if self.learner in CLOSED:
            for params in [self.params, *(self.tune.ends if self.tune else ())]:
                refuse_unknown(self.learner, params)
        if "trees" in self.model_fields_set and self.learner not in BOOSTING:
            raise ValueError(
                f"`trees` are for {' and '.join(BOOSTING)}: of {self.learner} say them in `params`, by its own name"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_sites(self) -> "Model":
        if (self.trainer == "federated") != (self.federated is not None):
            raise ValueError(
                "`trainer: federated` and `federated: {by: <column>}`, whose values are the sites, go together"
            )
        if self.federated is None:
            return self
        if self.task in ("ranking", "quantile"):
            raise ValueError(
                f"`trainer: federated` begins with the mean answer of all sites, which `task: {self.task}` has none of: "
                "it knows classification and regression"
            )
        central = [name for name in ("tune", "harden", "calibrate", "costs") if getattr(self, name)]
        if central:
            raise ValueError(
                f"`{central[0]}` learns from the rows of all sites in one place, and `trainer: federated` leaves them where they are"
            )
        if self.trees < self.federated.rounds:
            raise ValueError(
                f"{self.trees} `trees` are too few for {self.federated.rounds} `rounds`, of at least one each"
            )
        return self

    @model_validator(mode="after")
    def _fits_its_task(self) -> "Model":
        if (self.task == "quantile") != (self.quantile is not None):
            raise ValueError("`task: quantile` and `quantile`, such as 0.9, go together")
        if (self.task == "ranking") != (self.group is not None):
            raise ValueError("`task: ranking` and `group`, the column whose rows are ranked, go together")
        if self.task == "ranking" and self.harden:
            raise ValueError("`harden` moves rows one by one, and `task: ranking` judges groups of them")
        if self.task != "classification" and (self.calibrate or self.costs):
            raise ValueError(
                f"`calibrate` and `costs` are about chances and decisions, and `task: {self.task}` has none"
            )
        named = {*self.params, *(self.tune.space if self.tune else ())}
        wrong = OF_CLASSES & named if self.task != "classification" else set()
        if wrong:
            raise ValueError(f"{sorted(wrong)} weigh classes, and `task: {self.task}` has none")
        if self.class_weight is not None and self.task != "classification":
            raise ValueError(f"`class_weight` weighs classes, and `task: {self.task}` has none")
        if self.class_weight is not None and OF_CLASSES & named:
            raise ValueError(f"{sorted(OF_CLASSES & named)} and `class_weight` weigh the classes twice: say one")
        return self

    @property
    def learner(self) -> str:
        """The trainer as a text, wherever it learns."""
        return self.trainer if isinstance(self.trainer, str) else LEARNER

    @property
    def workers(self) -> Workers | None:
        """Who learns together on a cluster; None where the trainer learns here."""
        return None if isinstance(self.trainer, str) else self.trainer.lightgbm

    @property
    def is_own(self) -> bool:
        """Whether the trainer is the user's own code."""
        return bool(re.fullmatch(PLACE, self.learner))

    @property
    def functions(self) -> list[str]:
        """The user's own functions, as `file.py:function`, that training calls."""
        if self.is_own:
            return [self.learner, f"{self.learner.partition(':')[0]}:from_bytes"]
        path = self.learner.removeprefix("sklearn:")
        return [path] if path != self.learner and re.fullmatch(PLACE, path) else []

    @property
    def no_inputs(self) -> list[str]:
        """The columns of the training set that are no inputs, beside the label's own."""
        sites = self.federated.by if self.federated else None
        return [*self.ignore, *(column for column in (self.group, self.weight, sites) if column)]
