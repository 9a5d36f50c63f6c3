"""A lesson as rows of a table, each dealt to a worker, and a worker's share of it as a lesson again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError

if TYPE_CHECKING:
    from headrace.models.trainer import Lesson

ANSWER, WEIGHT, GROUP = "_answer", "_weight", "_group"


@dataclass(frozen=True)
class Share:
    """What one worker learns from: as a lesson, with its own rows alone."""

    rows: pa.Table
    """One float64 column an input."""
    answers: Any
    weights: Any | None
    groups: Any | None
    """For ranking: how many rows each group has."""


def dealt(lesson: "Lesson", workers: int) -> pa.Array:
    """Return to which worker each row goes, an int32 a row: equally many to each, by chance, the same for the same seed.

    By chance, because LightGBM tells where to split a column from the rows of one worker: each must be like all of them.
    A group of rows that are ranked goes to one worker as a whole. Raises DataError where a worker would get none.
    """
    units = lesson.rows.num_rows if lesson.groups is None else len(lesson.groups)
    if units < workers:
        raise DataError(
            f"{units} {'rows' if lesson.groups is None else 'groups'} cannot be dealt to {workers} workers: ingest more "
            "history, or take fewer workers."
        )
    of_unit = np.random.default_rng(lesson.meta.seed).permutation(units) % workers
    return pa.array(of_unit if lesson.groups is None else np.repeat(of_unit, lesson.groups), pa.int32())


def as_rows(lesson: "Lesson") -> pa.Table:
    """Return a lesson as a table: its inputs by their place, answers, weights and groups, as far as it has them."""
    rows = lesson.rows.rename_columns([f"c{place}" for place in range(lesson.rows.num_columns)])
    rows = rows.append_column(ANSWER, pa.array(lesson.answers, pa.float64()))
    if lesson.weights is not None:
        rows = rows.append_column(WEIGHT, pa.array(lesson.weights, pa.float64()))
    if lesson.groups is not None:
        rows = rows.append_column(GROUP, pa.array(np.repeat(np.arange(len(lesson.groups)), lesson.groups)))
    return rows


def as_share(rows: pa.Table) -> Share:
    """Return what a worker learns from: some rows of what `as_rows` gave, in their order."""
    there = rows.column_names
    groups = np.unique(rows[GROUP].to_numpy(), return_counts=True)[1] if GROUP in there else None
    inputs = [name for name in there if name not in (ANSWER, WEIGHT, GROUP)]
    weights = rows[WEIGHT].to_numpy() if WEIGHT in there else None
    return Share(rows.select(inputs).combine_chunks(), rows[ANSWER].to_numpy(), weights, groups)
