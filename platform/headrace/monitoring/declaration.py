"""What a user may say about monitoring."""

import re
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator, model_validator

from headrace.core.days import whole_days
from headrace.core.declaration import Declaration
from headrace.core.names import Duration, did_you_mean, duration_text, parse_duration
from headrace.features.declaration import Suspect
from headrace.models.words import MEASURED

BETTER_HIGH = (
    "auc",
    "accuracy",
    "precision",
    "recall",
    "average_precision",
    "lift",
    "true_positive_rate",
    "r2",
    "ndcg",
)
BETTER_LOW = ("log_loss", "brier", "calibration_error", "cost", "false_positive_rate", "rmse", "mae", "mape", "pinball")


class FalseAlarms(Declaration):
    """On how many days drift may alarm although nothing happened: `1 per 30d`."""

    days: int = Field(ge=1)
    per: Duration = Field(gt=timedelta(days=1))

    def __str__(self) -> str:
        return f"{self.days} per {duration_text(self.per)}"

    @property
    def share(self) -> float:
        """The share of days."""
        return min(self.days / whole_days(self.per), 1.0)


def parse_false_alarms(text: Any) -> Any:
    """Return the rate that a text such as "1 per 30d" says."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d+)\s+per\s+(\w+)", text.strip())
    if not found:
        raise ValueError(f"'{text}' is no rate of false alarms: write <days> per <duration>, such as 1 per 30d")
    return {"days": int(found[1]), "per": parse_duration(found[2])}


FalseAlarmsText = Annotated[
    FalseAlarms, BeforeValidator(parse_false_alarms, json_schema_input_type=str), PlainSerializer(str)
]


class DomainClassifier(Declaration):
    """A classifier that is asked to tell rows of the window from rows of the training set."""

    auc: float = Field(default=0.65, gt=0.5, lt=1)
    """The greatest AUC, out of fold: 0.5 where nothing tells them apart. From the history with `threshold: calibrated`."""


class Reconstruction(Declaration):
    """How well the principal components of the training set reconstruct rows of the window."""

    variance: float = Field(default=0.65, gt=0, lt=1)
    """The share of the variance that the components hold."""
    deviations: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    """How many standard deviations the mean error may lie from that of windows of the training set. From the history with
    `threshold: calibrated`."""


class Multivariate(Declaration):
    """Drift of all features together, which no single one may show. Each is measured where it is declared, `{}` is enough."""

    domain_classifier: DomainClassifier | None = None
    """By a domain classifier."""
    pca: Reconstruction | None = None
    """By the reconstruction error of a principal component analysis."""


class Drift(Declaration):
    """How far features and scores may move from the training set.

    Where a window has so few rows that chance alone may reach a limit, that limit is raised.
    """

    window: Duration = Field(default=timedelta(days=7), gt=timedelta())
    """How many days of scored rows are compared."""
    psi: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    """The greatest population stability index of a feature."""
    score_psi: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    """The greatest population stability index of the scores."""
    missing: float = Field(default=0.1, gt=0, le=1)
    """The greatest rise of a feature's share of missing values."""
    threshold: Literal["declared", "calibrated"] = "declared"
    """Where the limits of features come from: `calibrated` from the days of the training set, at the rate of `false_alarms`.
    The scores, and features that never moved there, keep the limits that are declared."""
    false_alarms: FalseAlarmsText = FalseAlarms(days=1, per=timedelta(days=30))
    """On how many days the features together may alarm although nothing happened, with `threshold: calibrated`."""
    ignore: list[str] = Field(default=[])
    """Features that are shown but neither alarm nor are named as a cause, such as the month."""
    multivariate: Multivariate = Multivariate()
    """Drift of all features together, in monitoring/shifts."""
    by: list[str] = Field(default=[])
    """Columns within whose values each feature is compared, too, in monitoring/shifts: those of scored rows and training set."""
    least_rows: int = Field(default=200, ge=30)
    """How many rows a slice of `by` needs, in the window and in the training set, to be compared."""
    label_psi: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """The greatest population stability index of the labels, once they are known, in monitoring/shifts; by default they are not compared."""

    @property
    def shift_checks(self) -> list[str]:
        """The checks of monitoring/shifts that are declared; none where that is not made."""
        declared = {
            "domain_classifier": self.multivariate.domain_classifier,
            "pca": self.multivariate.pca,
            "slices": self.by,
            "label": self.label_psi,
        }
        return [name for name, value in declared.items() if value not in (None, [])]


ESTIMABLE = {
    "classification": ("auc", "accuracy", "precision", "recall", "log_loss", "brier"),
    "regression": ("rmse", "mae"),
}
"""Task → what can be estimated without labels; the first by default."""


class Limits(Declaration):
    """What values are good enough."""

    floor: float | None = Field(default=None, allow_inf_nan=False)
    """The least value that is good enough, of a metric that rises as the model gets better."""
    ceiling: float | None = Field(default=None, allow_inf_nan=False)
    """The greatest value that is good enough, of a metric that falls, such as log_loss."""

    @property
    def has_limit(self) -> bool:
        """Whether a limit is declared."""
        return self.floor is not None or self.ceiling is not None

    def allows(self, value: float) -> bool:
        """Return whether a value of the metric is good enough."""
        return (self.floor is None or value >= self.floor) and (self.ceiling is None or value <= self.ceiling)

    @property
    def limits_said(self) -> str:
        """The limits in words."""
        limits = {"floor": self.floor, "ceiling": self.ceiling}
        said = [f"{name} {limit:g}" for name, limit in limits.items() if limit is not None]
        return " and ".join(said) or "no floor is declared"

    def fit(self, metric: str) -> None:
        """Raise ValueError for a limit on the side where nothing is wrong."""
        if self.floor is not None and metric in BETTER_LOW:
            raise ValueError(f"{metric} is the better the lower it is: say `ceiling`, not `floor`")
        if self.ceiling is not None and metric in BETTER_HIGH:
            raise ValueError(f"{metric} is the better the higher it is: say `floor`, not `ceiling`")


class Estimated(Limits):
    """How good the live model must be expected to be, before labels are known.

    Without a limit it alarms where it is expected to be worse than on its own test set by three standard deviations.
    """

    metric: str | None = None
    """Which estimate alarms: auc, accuracy, precision, recall, log_loss or brier; rmse or mae of numbers. By default the
    metric of `quality` where that can be estimated, else the task's first."""

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str | None) -> str | None:
        known = [name for names in ESTIMABLE.values() for name in names]
        if metric is not None and metric not in known:
            raise ValueError(f"'{metric}' cannot be estimated; {', '.join(known)} can.{did_you_mean(metric, known)}")
        return metric


class Quality(Limits):
    """How good the live model must stay, once labels are known. Without a limit it is measured and shown, and never alarms."""

    metric: str = "auc"
    """Which metric alarms, of those that evaluation measures; by default the task's first: auc, rmse, pinball or ndcg.
    All of them are measured and shown."""
    window: Duration = Field(default=timedelta(days=28), gt=timedelta())
    """How many days of labelled scores count."""
    by: list[str] = Field(default=[])
    """Columns by whose values the metrics are measured, too: inputs of the model, or columns of the label's SQL."""
    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    """How sure the intervals are, those of estimates too."""
    estimated: Estimated = Estimated()
    """What is expected of rows whose labels are not known yet."""

    @field_validator("metric")
    @classmethod
    def _metric_is_known(cls, metric: str) -> str:
        known = [name for names in MEASURED.values() for name in names]
        if metric not in known:
            raise ValueError(f"no metric '{metric}'; there are {', '.join(known)}.{did_you_mean(metric, known)}")
        return metric

    @model_validator(mode="after")
    def _limits_are_on_their_sides(self) -> "Quality":
        self.fit(self.metric)
        estimable = ESTIMABLE.get(self.task, ())
        if not estimable and self.estimated.model_fields_set:
            raise ValueError(f"nothing is estimated for `task: {self.task}`: take `estimated` out")
        if self.estimated.metric and self.estimated.metric not in estimable:
            raise ValueError(
                f"of `task: {self.task}` {', '.join(estimable)} can be estimated, not {self.estimated.metric}"
            )
        if self.estimated_metric:
            self.estimated.fit(self.estimated_metric)
        return self

    @property
    def task(self) -> str:
        """The task whose metric is watched."""
        return next(task for task, names in MEASURED.items() if self.metric in names)

    @property
    def estimated_metric(self) -> str:
        """The metric whose estimate alarms; empty where nothing can be estimated."""
        estimable = ESTIMABLE.get(self.task, ("",))
        return self.estimated.metric or (self.metric if self.metric in estimable else estimable[0])


class Inputs(Declaration):
    """Which share of a day's scored rows may look otherwise than what the live model was trained on. All are from 0 to 1."""

    window: Duration = Field(default=timedelta(days=7), gt=timedelta())
    """How many days, up to the newest, are looked at again."""
    out_of_range: float = Field(default=0.01, gt=0, le=1)
    """The greatest share of an input's values below the least or above the greatest of training."""
    unseen: float = Field(default=0.05, gt=0, le=1)
    """The greatest share of an input's texts that training never had."""
    missing: float = Field(default=0.5, gt=0, le=1)
    """The greatest rise of an input's share of missing values: a feature that is lost."""
    constant: float = Field(default=0.5, gt=0, le=1)
    """The greatest share of rows with one and the same score."""
    degraded: float = Field(default=0.05, gt=0, le=1)
    """The greatest share of served answers that were degraded, as features were not to be had."""
    outliers: float = Field(default=0.05, gt=0, le=1)
    """The greatest share of rows that are stranger than all but one in a thousand of training."""


class Monitors(Declaration):
    """What is watched: the training set as it is made, the model while it is live."""

    drift: Drift = Drift()
    """Against the training profile."""
    quality: Quality = Quality()
    """Against what came true."""
    inputs: Inputs = Inputs()
    """Each scored row against the ranges and categories of training."""
    suspect: Suspect = Suspect()
    """When a column of the training set looks as if it knew the label."""
    freshness: Duration | None = None
    """How old the newest label that the live model was judged on may be."""
