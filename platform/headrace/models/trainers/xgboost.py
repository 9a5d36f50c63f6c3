"""XGBoost: boosted trees, stored as XGBoost's own binary JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DeclarationError
from headrace.models.device import device_of

if TYPE_CHECKING:
    import xgboost

    from headrace.models.meta import Input, Meta
    from headrace.models.trainer import Lesson, Say

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
        return self.booster.predict(_matrix(encoded, kinds_of(self.inputs))).astype(np.float64)

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
        params = params_of(meta)
        params["device"] = device_of(meta.device, supported=bool(xgb.build_info().get("USE_CUDA")))
        try:
            data = _matrix(lesson.rows, kinds_of(meta.inputs))
            data.set_info(label=lesson.answers, weight=_weights(lesson), group=lesson.groups)
            booster = xgb.train(params, data, meta.trees, callbacks=[_progress(meta.trees, lesson.say)])
        except xgb.core.XGBoostError as error:
            raise refused(str(error), meta.params) from error
        return Boosted(booster, meta.inputs)

    def from_bytes(self, data: bytes, meta: "Meta") -> Boosted:
        """Return the booster that bytes are."""
        booster = _installed().Booster()
        booster.load_model(bytearray(data))
        return Boosted(booster, meta.inputs)


def params_of(meta: "Meta") -> dict[str, Any]:
    """Return XGBoost's parameters of a model, but for where it computes."""
    params = {**meta.params, "objective": OBJECTIVES[meta.task], "seed": meta.seed, "verbosity": 0}
    return params | ({"quantile_alpha": meta.quantile} if meta.task == "quantile" else {})


def refused(said: str, params: Mapping[str, Any]) -> DeclarationError:
    """Return that XGBoost refuses to train with parameters, in its first words."""
    first = (said.strip().splitlines() or [""])[0]
    return DeclarationError(f"XGBoost refuses to train with params {dict(params)}: {first}", ("model", "params"))


def kinds_of(inputs: "Sequence[Input]") -> list[str]:
    """Return how XGBoost calls the kinds of inputs: "c" for a category, "q" for a number."""
    return ["c" if column.kind == "categorical" else "q" for column in inputs]


@dataclass(frozen=True)
class Share:
    """Rows as XGBoost takes them."""

    encoded: pa.Table
    kinds: Sequence[str]
    answers: Any
    weights: Any
    part: float
    """How much of the weight of all rows is theirs."""


def more_trees(before: bytes, share: Share, params: Mapping[str, Any], trees: int) -> bytes:
    """Return, as XGBoost's JSON, nothing but the trees that rows add to a model; `before` is its JSON, empty for none yet.

    Of what they say that part counts which the share is of the whole. It runs on one thread. Raises DeclarationError for
    parameters that XGBoost refuses.
    """
    xgb = _installed()
    try:
        data = _matrix(share.encoded, share.kinds)
        data.set_info(label=share.answers, weight=share.weights)
        model = xgb.Booster(model_file=bytearray(before)) if before else None
        grown = xgb.train({**params, "device": "cpu", "nthread": 1}, data, trees, xgb_model=model)
    except xgb.core.XGBoostError as error:
        raise refused(str(error), params) from error
    return _scaled(bytes(grown[grown.num_boosted_rounds() - trees :].save_raw("json")), share.part)


def appended(model: bytes, more: bytes) -> bytes:
    """Return a model, XGBoost's JSON, with another one's trees behind its own; `model` is empty for none yet."""
    if not model:
        return more
    whole, part = json.loads(model), json.loads(more)
    trees, added = (one["learner"]["gradient_booster"]["model"] for one in (whole, part))
    count, last = len(trees["trees"]), trees["iteration_indptr"][-1]
    trees["trees"] += [{**tree, "id": count + number} for number, tree in enumerate(added["trees"])]
    trees["tree_info"] += added["tree_info"]
    trees["iteration_indptr"] += [last + place for place in added["iteration_indptr"][1:]]
    trees["gbtree_model_param"]["num_trees"] = str(len(trees["trees"]))
    return json.dumps(whole).encode()


def _scaled(model: bytes, part: float) -> bytes:
    """Return a model, XGBoost's JSON, whose leaves say a part of what they said."""
    told = json.loads(model)
    for tree in told["learner"]["gradient_booster"]["model"]["trees"]:
        tree["split_conditions"] = [
            value * part if left == -1 else value
            for value, left in zip(tree["split_conditions"], tree["left_children"], strict=True)
        ]
    return json.dumps(told).encode()


def _installed() -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise DeclarationError(
            "`trainer: xgboost` needs XGBoost: pip install 'headrace[xgboost]'", ("model", "trainer")
        ) from error
    return xgboost


def _matrix(encoded: pa.Table, kinds: Sequence[str]) -> Any:
    names = [f"f{number}" for number in range(len(kinds))]
    return _installed().DMatrix(
        encoded.rename_columns(names), feature_names=names, feature_types=list(kinds), enable_categorical=True
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
