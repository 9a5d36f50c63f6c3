"""XGBoost: boosted trees, stored as XGBoost's own binary JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.models.device import device_of

if TYPE_CHECKING:
    import xgboost

    from headrace.models.encode import Input
    from headrace.models.trainer import Lesson, Meta, Say

OBJECTIVES = {
    "classification": "binary:logistic",
    "regression": "reg:squarederror",
    "ranking": "rank:ndcg",
    "quantile": "reg:quantileerror",
}
TELL_EVERY = 50


@dataclass(frozen=True)
class Boosted:
    """A booster that is ready to score."""

    booster: "xgboost.Booster"
    inputs: "Sequence[Input]"

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row."""
        return self.booster.predict(_matrix(encoded, self.inputs)).astype(np.float64)

    def to_bytes(self) -> bytes:
        """Return XGBoost's own binary JSON (UBJ)."""
        return bytes(self.booster.save_raw("ubj"))

    def importance(self) -> Sequence[float]:
        """Return the total gain of each input over all trees."""
        gains = self.booster.get_score(importance_type="total_gain")
        return [float(gains.get(f"f{number}", 0.0)) for number in range(len(self.inputs))]


class XGBoost:
    """Boosted trees: categories, missing values, weights and all four tasks as XGBoost knows them."""

    form = "model.ubj"

    @property
    def libraries(self) -> Sequence[str]:
        """The distribution that is installed: with or without support for graphics cards."""
        from importlib.metadata import packages_distributions

        return sorted(set(packages_distributions().get("xgboost", ["xgboost"])))

    def fit(self, lesson: "Lesson") -> Boosted:
        """Return a booster; raises DeclarationError for parameters that XGBoost refuses, or where it is not installed."""
        xgb = _installed()
        meta = lesson.meta
        params = {**meta.params, "objective": OBJECTIVES[meta.task], "seed": meta.seed, "verbosity": 0}
        params |= {"quantile_alpha": meta.quantile} if meta.task == "quantile" else {}
        params["device"] = device_of(meta.device, supported=bool(xgb.build_info().get("USE_CUDA")))
        try:
            data = _matrix(lesson.rows, meta.inputs)
            data.set_info(label=lesson.answers, weight=_weights(lesson), group=lesson.groups)
            booster = xgb.train(params, data, meta.trees, callbacks=[_progress(meta.trees, lesson.say)])
        except xgb.core.XGBoostError as error:
            said = str(error).strip().splitlines()[0]
            raise DeclarationError(
                f"XGBoost refuses to train with params {meta.params}: {said}", ("model", "params")
            ) from error
        return Boosted(booster, meta.inputs)

    def from_bytes(self, data: bytes, meta: "Meta") -> Boosted:
        """Return the booster that bytes are."""
        booster = _installed().Booster()
        booster.load_model(bytearray(data))
        return Boosted(booster, meta.inputs)


def _installed() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise DeclarationError(
            "`trainer: xgboost` needs XGBoost: pip install 'headrace[xgboost]'", ("model", "trainer")
        ) from error
    return xgboost


def _matrix(encoded: pa.Table, inputs: "Sequence[Input]") -> Any:
    kinds = ["c" if column.kind == "categorical" else "q" for column in inputs]
    names = [f"f{number}" for number in range(len(inputs))]
    return _installed().DMatrix(
        encoded.rename_columns(names), feature_names=names, feature_types=kinds, enable_categorical=True
    )


def _weights(lesson: "Lesson") -> Any | None:
    """Return a weight a row; for a ranking the mean of each group's, for XGBoost weighs groups."""
    if lesson.weights is None or lesson.groups is None:
        return lesson.weights
    starts = np.concatenate([[0], np.cumsum(lesson.groups)[:-1]])
    return np.add.reduceat(lesson.weights, starts) / lesson.groups


def _progress(trees: int, say: "Say") -> Any:
    from xgboost.callback import TrainingCallback

    class Progress(TrainingCallback):  # type: ignore[misc]  # xgboost is an extra
        """Tells how many trees there are."""

        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002  as it is called
            """Tell, and go on."""
            if (epoch + 1) % TELL_EVERY == 0 or epoch + 1 == trees:
                say(f"{epoch + 1} of {trees} trees")
            return False

    made: Callable[[], Any] = Progress
    return made()
