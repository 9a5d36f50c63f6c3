"""Sites: which rows stand at which, as a file that one site alone is told of."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.core.errors import DataError, DeclarationError
from headrace.core.names import did_you_mean
from headrace.models.trainers.xgboost import kinds_of

if TYPE_CHECKING:
    from headrace.models.federated.declaration import Federated
    from headrace.models.trainer import Lesson

FEWEST, MOST = 2, 16
"""Each site is several processes, on one machine."""
LEAST_ROWS = 20
"""Fewer rows than that add noise, and tell too much of themselves: a tree's leaf would be a row or two."""


@dataclass(frozen=True)
class Standing:
    """Which row stands at which site."""

    declared: "Federated"
    names: Sequence[str]
    """The sites, in the order of their numbers."""
    numbers: Any
    """The number of the site of each row."""


def standing_of(rows: pa.Table, declared: "Federated") -> Standing:
    """Return where rows stand; raises DeclarationError for no column, DataError for rows without a site, too few or too many."""
    column = declared.by
    if column not in rows.column_names:
        raise DeclarationError(
            f"`by` names '{column}', which is no column of the training set.{did_you_mean(column, rows.column_names)}",
            ("model", "federated", "by"),
        )
    values = rows[column].cast(pa.string())
    if values.null_count:
        raise DataError(f"{values.null_count} rows have no '{column}', and so stand at no site: fill it.")
    names, numbers = np.unique(values.to_numpy(), return_inverse=True)
    if not FEWEST <= len(names) <= MOST:
        raise DataError(
            f"`by: {column}` has {len(names)} values in the rows to train on, and each is a site: there are {FEWEST} to {MOST}."
        )
    return Standing(declared, [str(name) for name in names], numbers)


def write_rows(lesson: "Lesson", standing: Standing, number: int, folder: Path) -> Path:
    """Return the file of one site's rows, in a folder of its own that this user alone may enter.

    Raises DataError where the site has too few rows, or those of a single class.
    """
    here = standing.numbers == number
    answers = lesson.answers[here]
    _refuse_unable(standing, number, answers)
    weights = np.ones(len(answers)) if lesson.weights is None else lesson.weights[here]
    # Numbers instead of names: neither a site's answers nor the trees need any, and one may be called "answer".
    table = lesson.rows.rename_columns([f"f{place}" for place in range(lesson.rows.num_columns)]).filter(pa.array(here))
    table = table.append_column("answer", pa.array(answers)).append_column("weight", pa.array(weights))
    table = table.replace_schema_metadata({"kinds": json.dumps(kinds_of(lesson.meta.inputs))})
    folder.mkdir(mode=0o700)
    path = folder / "rows.arrow"
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)
    return path


def _refuse_unable(standing: Standing, number: int, answers: Any) -> None:
    where = f"Site {standing.declared.by} = '{standing.names[number]}'"
    if len(answers) < LEAST_ROWS:
        raise DataError(
            f"{where} has {len(answers)} rows to train on, and a site needs {LEAST_ROWS}: ingest more, or leave it out."
        )
    if len(np.unique(answers)) < 2:
        raise DataError(
            f"{where}: all {len(answers)} rows to train on have the answer {answers[0]:g}, so that it can learn nothing: "
            "ingest more, or leave it out."
        )
