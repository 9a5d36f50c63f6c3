"""scikit-learn: any estimator or pipeline by its import path, stored by skops, which runs no code that is not trusted here."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError, StoreError
from headrace.core.names import did_you_mean
from headrace.core.user_code import load_function, told_in_words
from headrace.models.trainers.skops import loaded, stored, strange_types

if TYPE_CHECKING:
    from headrace.models.meta import Meta
    from headrace.models.trainer import Lesson

PREFIX = "sklearn:"
PATH = ("model", "trainer")
MISSING = "contains NaN"
"""What scikit-learn says of missing values; a pipeline does not tell beforehand whether it takes them."""


@dataclass(frozen=True)
class Estimator:
    """A fitted estimator that is ready to score."""

    fitted: Any
    meta: "Meta"

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row; raises DataError for missing values that the estimator does not take."""
        rows = _frame(encoded, self.meta)
        with _telling_of_missing(self.fitted, rows):
            return self._scores(rows)

    def _scores(self, rows: Any) -> Any:
        if self.meta.task != "classification":
            return np.asarray(self.fitted.predict(rows), dtype=np.float64)
        return self.fitted.predict_proba(rows)[:, list(self.fitted.classes_).index(1)].astype(np.float64)

    def to_bytes(self) -> bytes:
        """Return what skops stores, with numbers in the place of addresses: the same for the same model."""
        data = stored(self.fitted)
        strange = strange_types(data)
        if strange:
            raise DeclarationError(
                f"{self.meta.trainer} holds {', '.join(strange)}, which a stored model may not: loading it would run code "
                "that nobody checks. Build it of scikit-learn's own parts, or say `trainer: file.py:function`.",
                PATH,
            )
        return data

    def importance(self) -> Sequence[float] | None:
        """Return the estimator's own importances, or the sizes of its coefficients; None where it has neither for each input."""
        last = self.fitted[-1] if hasattr(self.fitted, "steps") else self.fitted
        found = getattr(last, "feature_importances_", None)
        if found is None:
            found = np.abs(np.ravel(getattr(last, "coef_", [])))
        return [float(value) for value in found] if len(found) == len(self.meta.inputs) else None


@dataclass(frozen=True)
class ScikitLearn:
    """What stands at an import path, or is made by a function beside the declaration; it gets one column of numbers an input."""

    path: str

    form = "model.skops"
    libraries = ("scikit-learn", "skops")

    def fit(self, lesson: "Lesson") -> Estimator:
        """Return a fitted estimator.

        Raises DeclarationError for a path that leads to no estimator, an estimator that does not fit the task, or
        parameters that it does not have; DataError for missing values that it does not take.
        """
        from threadpoolctl import threadpool_limits

        meta = lesson.meta
        made = _prepared(self._made(lesson), meta)
        rows = _frame(lesson.rows, meta)
        weights = _weights(made, lesson.weights)
        answers = lesson.answers.astype(np.int64) if meta.task == "classification" else lesson.answers
        # Sums of several threads' parts differ in the last digit, and so would the bytes.
        with threadpool_limits(limits=1), _telling_of_missing(made, rows):
            try:
                made.fit(rows, answers, **weights)
            except (ValueError, TypeError) as error:
                if MISSING in str(error):
                    raise
                raise DeclarationError(f"{meta.trainer} refuses to train with params {meta.params}: {error}") from error
        return Estimator(made, meta)

    def from_bytes(self, data: bytes, meta: "Meta") -> Estimator:
        """Return the estimator that was stored; raises StoreError where it holds anything that is not trusted here."""
        strange = strange_types(data)
        if strange:
            raise StoreError(
                f"The stored model holds {', '.join(strange)}, which no model that was trained here does: it is not loaded. "
                "Train again."
            )
        return Estimator(loaded(data), meta)

    def _made(self, lesson: "Lesson") -> Any:
        """Return the estimator, not yet fitted."""
        from sklearn.base import BaseEstimator, clone

        if ".py:" in self.path:
            function = load_function(lesson.beside.folder, lesson.beside.product, self.path)
            with told_in_words(lesson.beside.folder / self.path.partition(":")[0]):
                made = function()
        else:
            found = _imported(self.path)
            try:
                made = clone(found) if isinstance(found, BaseEstimator) else found()
            except TypeError as error:
                raise DeclarationError(f"'{self.path}' cannot be called without arguments: {error}", PATH) from error
        if not isinstance(made, BaseEstimator):
            raise DeclarationError(
                f"'{self.path}' gives a {type(made).__name__}, which is no scikit-learn estimator.", PATH
            )
        return made


def _imported(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        there = import_module(module)
    except ImportError as error:
        raise DeclarationError(f"'{path}' cannot be imported: {error}", PATH) from error
    found = getattr(there, name, None)
    if not callable(found) and not hasattr(found, "fit"):
        raise DeclarationError(f"{module} has no estimator '{name}'.{did_you_mean(name, dir(there))}", PATH)
    return found


def _prepared(made: Any, meta: "Meta") -> Any:
    """Return the estimator with the declared parameters, the seed, and the quantile that is asked for."""
    known = made.get_params()
    unknown = [name for name in meta.params if name not in known]
    if unknown:
        raise DeclarationError(
            f"'{unknown[0]}' is no parameter of {meta.trainer}; it has {', '.join(sorted(known)[:20])}."
            f"{did_you_mean(unknown[0], known)}",
            ("model", "params"),
        )
    seeds = {name: meta.seed for name in known if name.rpartition("__")[2] == "random_state"}
    made.set_params(**seeds, **_asking_for_quantile(known, meta), **meta.params)
    _refuse_other_task(made, meta)
    return made


def _asking_for_quantile(known: dict[str, Any], meta: "Meta") -> dict[str, Any]:
    if meta.task != "quantile":
        return {}
    asked = {name: meta.quantile for name in known if name.rpartition("__")[2] == "quantile"}
    if not asked:
        raise DeclarationError(
            f"{meta.trainer} predicts no quantile: say sklearn:sklearn.ensemble.HistGradientBoostingRegressor, "
            "sklearn:sklearn.linear_model.QuantileRegressor, or trainer: lightgbm.",
            PATH,
        )
    losses = {name[: -len("quantile")] + "loss" for name in asked} & set(known)
    return asked | dict.fromkeys(losses, "quantile")


def _refuse_other_task(made: Any, meta: "Meta") -> None:
    from sklearn.base import is_classifier, is_regressor

    if meta.task == "ranking":
        raise DeclarationError(
            f"scikit-learn ranks nothing: for `task: ranking` say trainer: lightgbm, not {meta.trainer}.", PATH
        )
    if meta.task == "classification" and not (is_classifier(made) and hasattr(made, "predict_proba")):
        raise DeclarationError(
            f"{meta.trainer} gives no probabilities of classes (predict_proba): say `task: regression` if numbers are meant, "
            "or a function beside the declaration that wraps it in sklearn.calibration.CalibratedClassifierCV.",
            PATH,
        )
    if meta.task != "classification" and not is_regressor(made):
        raise DeclarationError(f"{meta.trainer} is no regressor, as `task: {meta.task}` needs.", PATH)


def _frame(encoded: pa.Table, meta: "Meta") -> Any:
    """Return one column of float64 an input, NaN for what is missing."""
    import pandas as pd

    return pd.DataFrame({i.name: encoded[i.name].to_numpy() for i in meta.inputs})


@contextmanager
def _telling_of_missing(made: Any, rows: Any) -> Iterator[None]:
    """Say in words that an estimator takes no missing values, and what to declare instead: raises DataError."""
    try:
        yield
    except ValueError as error:
        if MISSING not in str(error):
            raise
        missing = [str(name) for name in rows.columns[rows.isna().any()]]
        raise DataError(
            f"{type(made).__name__} takes no missing values, and some rows have none in {missing} (a text that training "
            "never saw is missing, too). Write a function beside the declaration that returns a pipeline which fills "
            "them, such as make_pipeline(SimpleImputer(), ...), and say `trainer: sklearn:<file>.py:<function>`; or take an "
            "estimator that knows missing values, such as sklearn:sklearn.ensemble.HistGradientBoostingClassifier."
        ) from error


def _weights(made: Any, weights: Any | None) -> dict[str, Any]:
    """Return the argument by which `fit` takes weights; of a pipeline its last step's."""
    from sklearn.utils.validation import has_fit_parameter

    if weights is None:
        return {}
    steps = getattr(made, "steps", None)
    last, prefix = (steps[-1][1], f"{steps[-1][0]}__") if steps else (made, "")
    if not has_fit_parameter(last, "sample_weight"):
        raise DeclarationError(
            f"{type(last).__name__} takes no weights: leave `weight` and `class_weight` out, or take another estimator.",
            PATH,
        )
    return {f"{prefix}sample_weight": weights}
