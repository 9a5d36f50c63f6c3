"""Adversarial training: a model learns from its rows and from copies that were moved a little against it.

Sources: A. Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks (ICLR 2018), whose inner maximum is
here the worst of some random directions, as trees have no gradients; for trees H. Chen et al., Robust Decision Trees (ICML 2019).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.headline import LEAST, Asked, headline
from headrace.models.meta import Input, Meta
from headrace.models.trainer import Fitted, Lesson, Trainer
from headrace.models.words import Task

RECORD = "robustness"
REACH = 0.05
"""How far each number is moved, in standard deviations of its column."""
TRIES = 8
"""How many random directions are tried against each row."""


def fit_hardened(trainer: Trainer, lesson: Lesson) -> tuple[Fitted, Fitted]:
    """Return a model that learned from its rows and from moved copies of them, and the plain one that they were moved against.

    Where rows have weights, each counts half, and so does its copy: both together weigh what the row weighed.
    """
    plain = trainer.fit(lesson)
    moved = moved_against(plain, lesson.rows, lesson.answers, lesson.meta)
    doubled = replace(
        lesson,
        rows=pa.concat_tables([lesson.rows, moved]).combine_chunks(),
        answers=np.tile(lesson.answers, 2),
        weights=None if lesson.weights is None else np.tile(lesson.weights / 2, 2),
    )
    return trainer.fit(doubled), plain


def moved_against(model: Fitted, encoded: pa.Table, answers: Any, meta: Meta) -> pa.Table:
    """Return encoded rows, each moved in the direction of those tried, or not at all, in which the model errs most.

    Every numeric input moves by 0.05 standard deviations up or down; columns of two values, such as booleans, categories
    and missing values stay. The same seed tries the same directions.
    """
    reach = _reach(encoded, meta.inputs)
    chance = np.random.default_rng(meta.seed)
    worst, found = losses(model.predict(encoded), answers, meta), encoded
    for _ in range(TRIES):
        tried = _moved(encoded, reach, chance)
        loss = losses(model.predict(tried), answers, meta)
        worse = loss > worst
        worst, found = np.where(worse, loss, worst), _chosen(worse, tried, found)
    return found


def robustness(models: dict[str, Fitted], encoded: pa.Table, answers: Any, meta: Meta) -> dict[str, dict[str, Any]]:
    """Return of each model how its scores of rows come true, and how they do when the rows are moved against it."""
    asked = Asked(answers, None, meta.quantile)
    told: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        scores, moved = model.predict(encoded), moved_against(model, encoded, answers, meta)
        attacked = model.predict(moved)
        told[name] = {
            "as they are": headline(meta.task, asked, scores).numbers,
            "moved against it": headline(meta.task, asked, attacked).numbers,
            "greatest move of a score": float(np.abs(attacked - scores).max(initial=0.0)),
        }
    return told


def listed(told: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was found as rows of a table."""
    kinds = ("as they are", "moved against it")
    return [{"model": name, "test rows": kind, **found[kind]} for name, found in told.items() for kind in kinds]


def losses(scores: Any, answers: Any, meta: Meta) -> Any:
    """Return how much each row's score errs: log loss, squared error or pinball loss, a float64 a row."""
    task: Task = meta.task
    if task == "classification":
        clipped = np.clip(scores, LEAST, 1 - LEAST)
        return -np.where(answers == 1, np.log(clipped), np.log1p(-clipped))
    errors = answers - scores
    if meta.quantile is not None:
        return np.maximum(meta.quantile * errors, (meta.quantile - 1) * errors)
    return errors**2


def _reach(encoded: pa.Table, inputs: Sequence[Input]) -> dict[str, float]:
    """Return how far each column moves that does."""
    reach = {}
    for column in inputs:
        values = encoded[column.name].drop_null().to_numpy()
        if column.kind == "numeric" and len(np.unique(values)) > 2:
            reach[column.name] = REACH * float(values.std())
    return reach


def _moved(encoded: pa.Table, reach: dict[str, float], chance: np.random.Generator) -> pa.Table:
    for name, far in reach.items():
        signs = chance.integers(0, 2, encoded.num_rows) * 2 - 1
        values = encoded[name]
        moved = pa.array(values.fill_null(0.0).to_numpy() + far * signs, mask=values.is_null().to_numpy())
        encoded = encoded.set_column(encoded.column_names.index(name), name, moved)
    return encoded


def _chosen(chosen: Any, these: pa.Table, those: pa.Table) -> pa.Table:
    """Return rows of one table where they are chosen, of another elsewhere."""
    picked = pa.array(np.where(chosen, np.arange(len(chosen)), np.arange(len(chosen)) + len(chosen)))
    return pa.concat_tables([these, those]).take(picked)
