"""Splits: rows to learn from, and rows to be judged on."""

from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import NoRows
from headrace.core.names import duration_text
from headrace.features.declaration import Label


@dataclass(frozen=True)
class Split:
    """Rows to learn from, and rows to be judged on: asked after the labels of all the former were known."""

    train: pa.Table
    test: pa.Table


def canonical(rows: pa.Table, label: Label) -> pa.Table:
    """Return the rows by time and entity, the order that a store need not keep and the model's bytes depend on."""
    return rows.sort_by([(label.time, "ascending"), (label.entity, "ascending")])


def split_by_time(rows: pa.Table, label: Label, test: timedelta) -> Split:
    """Return the rows split at the newest prediction time less `test`; raises NoRows where a side would be empty.

    Rows whose labels were not known yet when the test begins are in neither part: a model that is in use could not have
    learned from them. Source: the embargo of M. Lopez de Prado, Advances in Financial Machine Learning (2018), 7.4.2.
    """
    times = rows[label.time]
    newest = pc.max(times).as_py()
    if newest is None:
        raise NoRows("The training set is empty: nothing can be learned. Ingest days whose labels are known.")
    cut = newest - test
    known = pc.less_equal(times, pa.scalar(cut - label.known_after, times.type))
    split = Split(rows.filter(known), rows.filter(pc.greater(times, pa.scalar(cut, times.type))))
    if not split.train.num_rows:
        raise NoRows(
            f"All {rows.num_rows} labelled rows lie within the test span of {duration_text(test)} or the "
            f"{duration_text(label.known_after)} before it, in which no label was known yet: nothing is left to train on. "
            "Ingest more history, or make `model.split.test` shorter."
        )
    return split
