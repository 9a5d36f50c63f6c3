"""LightGBM: boosted trees, stored as LightGBM's own text."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError, StoreError

if TYPE_CHECKING:
    import lightgbm as lgb

    from headrace.models.meta import Meta
    from headrace.models.spread.lesson import Share
    from headrace.models.trainer import Lesson, Say

FIXED = {"verbose": -1, "deterministic": True, "force_row_wise": True}
"""What makes LightGBM give the same bytes on one thread and on two."""
OBJECTIVES = {"classification": "binary", "regression": "regression", "ranking": "lambdarank", "quantile": "quantile"}
HIGHEST_RELEVANCE = 30
"""The greatest relevance that LightGBM's own gains, two to the power of it, are made for."""
TELL_EVERY = 50


@dataclass(frozen=True)
class Boosted:
    """A booster that is ready to score."""

    booster: "lgb.Booster"
    trees: int = -1
    """How many of its trees count; -1 for all."""

    def predict(self, encoded: pa.Table) -> Any:
        """Return one float64 a row."""
        return self.booster.predict(encoded, num_iteration=self.trees)

    def to_bytes(self) -> bytes:
        """Return LightGBM's own text."""
        text: str = self.booster.model_to_string(num_iteration=self.trees)
        return text.encode()

    def contributions(self, encoded: pa.Table) -> Any:
        """Return LightGBM's own Shapley values."""
        return self.booster.predict(encoded, pred_contrib=True)

    def importance(self) -> Sequence[float]:
        """Return the gain of each input over all trees."""
        gains: list[float] = self.booster.feature_importance("gain").tolist()
        return gains


class LightGBM:
    """Boosted trees: categories, missing values, weights and all four tasks as LightGBM knows them."""

    form = "model.txt"
    libraries = ("lightgbm",)

    def fit(self, lesson: "Lesson") -> Boosted:
        """Return a booster; raises DeclarationError for parameters that LightGBM refuses."""
        import lightgbm as lgb

        refuse_high_relevance(lesson)
        meta = lesson.meta
        params = params_of(meta)
        try:
            data = dataset_of(lesson, meta, params)
            booster = lgb.train(params, data, num_boost_round=meta.trees, callbacks=[_progress(meta.trees, lesson.say)])
        except lgb.basic.LightGBMError as error:
            raise refused(meta, error) from error
        return Boosted(booster)

    def from_bytes(self, data: bytes, meta: "Meta") -> Boosted:  # noqa: ARG002  the text says all
        """Return the booster that a text is; raises StoreError for a text that is none."""
        import lightgbm as lgb

        try:
            return Boosted(lgb.Booster(model_str=data.decode()))
        except (lgb.basic.LightGBMError, ValueError) as error:
            raise StoreError(f"The stored model is no text of LightGBM: {error}. Train again.") from error


def params_of(meta: "Meta") -> dict[str, Any]:
    """Return all parameters of a training: those declared, and those that are ours."""
    return {**meta.params, **FIXED, **_objective(meta), "seed": meta.seed}


def dataset_of(taught: "Lesson | Share", meta: "Meta", params: dict[str, Any]) -> "lgb.Dataset":
    """Return what LightGBM learns from: a lesson, or a worker's share of one."""
    import lightgbm as lgb

    return lgb.Dataset(
        taught.rows.rename_columns(_names(meta)),
        taught.answers,
        weight=taught.weights,
        group=taught.groups,
        categorical_feature=[number for number, column in enumerate(meta.inputs) if column.kind == "categorical"],
        params=params,
    )


def _names(meta: "Meta") -> list[str]:
    """Return a name of its own for each input without the brackets, quotes, commas and colons that LightGBM refuses."""
    found: list[str] = []
    for number, column in enumerate(meta.inputs):
        name = re.sub(r"\W", "_", column.name)
        while name in found:
            name = f"{name}_{number}"
        found.append(name)
    return found


def refused(meta: "Meta", error: Exception) -> DeclarationError:
    """Return what LightGBM says to parameters, in words."""
    return DeclarationError(f"LightGBM refuses to train with params {meta.params}: {error}", ("model", "params"))


def _objective(meta: "Meta") -> dict[str, Any]:
    alpha = {"alpha": meta.quantile} if meta.task == "quantile" else {}
    return {"objective": OBJECTIVES[meta.task], **alpha}


def refuse_high_relevance(lesson: "Lesson") -> None:
    """Raise DataError for grades that are too high to be ranked by."""
    if lesson.meta.task == "ranking" and lesson.answers.max() > HIGHEST_RELEVANCE:
        raise DataError(
            f"{lesson.meta.label} goes up to {lesson.answers.max():g}: LightGBM ranks by grades from 0 to {HIGHEST_RELEVANCE}. "
            "Make grades of it in the label's SQL, such as 0 to 4."
        )


def _progress(trees: int, say: "Say") -> Callable[[Any], None]:
    def tell(state: Any) -> None:
        done = state.iteration + 1
        if done % TELL_EVERY == 0 or done == trees:
            say(f"{done} of {trees} trees")

    return tell
