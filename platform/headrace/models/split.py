"""Splits: rows to learn from, and rows to be judged on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.core.errors import DataError, DeclarationError, NoRows
from headrace.core.names import did_you_mean, duration_text, share_text
from headrace.features.declaration import Label
from headrace.models import declaration
from headrace.models.meta import Meta


@dataclass(frozen=True)
class Split:
    """Rows to learn from, and rows to be judged on."""

    train: pa.Table
    test: pa.Table


def canonical(rows: pa.Table, label: Label) -> pa.Table:
    """Return the rows by time and entity, the order that a store need not keep and the model's bytes depend on."""
    return rows.sort_by([(label.time, "ascending"), (label.entity, "ascending")])


def split_rows(rows: pa.Table, label: Label, declared: declaration.Split) -> Split:
    """Return the rows split as declared; raises NoRows where a side would be empty."""
    if declared.column is not None:
        return split_by_group(rows, declared.column, declared.share)
    return split_by_time(rows, label, declared.span)


def split_by_time(rows: pa.Table, label: Label, test: timedelta) -> Split:
    """Return the rows split at the newest prediction time less `test`; raises NoRows where a side would be empty.

    Rows whose labels were not known yet when the test begins are in neither part: a model that is in use could not have
    learned from them. Source: the embargo of M. Lopez de Prado, Advances in Financial Machine Learning (2018), 7.4.2.
    """
    newest = _newest(rows, label)
    split = _split_at(rows, label, newest - test, newest)
    if not split.train.num_rows:
        raise NoRows(
            f"All {rows.num_rows} labelled rows lie within the test span of {duration_text(test)} or the "
            f"{duration_text(label.known_after)} before it, in which no label was known yet: nothing is left to train on. "
            "Ingest more history, or make `model.split.test` shorter."
        )
    return split


def older_splits(rows: pa.Table, label: Label, declared: declaration.Split) -> list[Split]:
    """Return the splits before the newest one, oldest first: each ends where the test span of the next begins.

    Raises NoRows where a span has no rows, or nothing before it could be learned from.
    """
    if declared.folds == 1:
        return []
    newest = _newest(rows, label)
    found = []
    for back in range(declared.folds - 1, 0, -1):
        end = newest - back * declared.span
        split = _split_at(rows, label, end - declared.span, end)
        if not split.train.num_rows or not split.test.num_rows:
            side = "before which no label was known" if split.test.num_rows else "in which no row lies"
            raise NoRows(
                f"Fold {declared.folds - back} of {declared.folds} would be judged on the {duration_text(declared.span)} to "
                f"{end:%Y-%m-%d %H:%M}, {side}. Ingest more history, or make `model.split.folds` or `test` smaller."
            )
        found.append(split)
    return found


def split_by_group(rows: pa.Table, column: str, test: float) -> Split:
    """Return the rows split by a column's values, each wholly on one side; about the share `test` of the values is the test.

    On which side a value stands is told by its own digest alone, so that it never changes as rows arrive: no model has
    learned from a value that is in the test. Raises DeclarationError for no column, DataError where a row has no value,
    NoRows where a side would be empty.
    """
    if column not in rows.column_names:
        raise DeclarationError(
            f"`column` names '{column}', which is no column of the training set.{did_you_mean(column, rows.column_names)}",
            ("model", "split", "column"),
        )
    if rows[column].null_count:
        raise DataError(f"{rows[column].null_count} rows have no '{column}', by which the test is split off: fill it.")
    held_out = _is_held_out(rows[column], test)
    split = Split(rows.filter(pc.invert(held_out)), rows.filter(held_out))
    if not split.train.num_rows or not split.test.num_rows:
        side = "the test" if split.train.num_rows else "training"
        raise NoRows(
            f"None of the {pc.count_distinct(rows[column]).as_py()} values of '{column}' falls to {side} at {share_text(test)}: "
            "ingest more of them, or choose another share or column."
        )
    return split


def split_off_groups(rows: pa.Table, column: str, purpose: str, places: tuple[float, float]) -> Split:
    """Return training rows split by a column's values once more: those placed from the first number on up to the second are judged.

    A value's place, from 0 to 1, is told by its digest and the purpose: it has nothing to do with where it stands for the
    test, whatever share that is. Raises NoRows where a side would be empty.
    """
    chosen = _lie_within(rows[column], places, purpose)
    split = Split(rows.filter(pc.invert(chosen)), rows.filter(chosen))
    if not split.train.num_rows or not split.test.num_rows:
        side = "held out" if split.train.num_rows else "left to learn from"
        raise NoRows(
            f"Of {pc.count_distinct(rows[column]).as_py()} values of '{column}' in training none is {side} for {purpose}: "
            "ingest more of them, or choose another `model.split.column`."
        )
    return split


def unseen_by(metas: Sequence[Meta], rows: pa.Table, label: Label) -> pa.Table:
    """Return the rows that none of some models could have learned from, as when they are in use.

    That is what came after the labels of all that a model was trained on were known, and the groups that it held out.
    """
    times = rows[label.time]
    for meta in metas:
        unseen = pc.greater(rows[label.time], pa.scalar(meta.train_to + label.known_after, times.type))
        if meta.held_out and meta.held_out.column in rows.column_names:
            unseen = pc.or_(unseen, _is_held_out(rows[meta.held_out.column], meta.held_out.share))
        rows = rows.filter(unseen)
    return rows


def _is_held_out(values: pa.ChunkedArray, share: float) -> pa.Array:
    """Return for each value whether it is in the test; what is missing is not."""
    return _lie_within(values, (0, share))


def _lie_within(values: pa.ChunkedArray, places: tuple[float, float], purpose: str = "") -> pa.Array:
    encoded = pc.dictionary_encode(values.combine_chunks())
    first, end = places
    inside = [first <= _place(value, purpose) < end for value in encoded.dictionary.to_pylist()]
    return pa.array(inside, pa.bool_()).take(encoded.indices).fill_null(False)


def _newest(rows: pa.Table, label: Label) -> datetime:
    newest: datetime | None = pc.max(rows[label.time]).as_py()
    if newest is None:
        raise NoRows("The training set is empty: nothing can be learned. Ingest days whose labels are known.")
    return newest


def _split_at(rows: pa.Table, label: Label, cut: datetime, end: datetime) -> Split:
    """Return the rows whose labels were known at `cut`, and those after it up to `end`."""
    times = rows[label.time]
    known, after, until = (pa.scalar(moment, times.type) for moment in (cut - label.known_after, cut, end))
    in_test = pc.and_(pc.greater(times, after), pc.less_equal(times, until))
    return Split(rows.filter(pc.less_equal(times, known)), rows.filter(in_test))


def _place(value: Any, purpose: str) -> float:
    """Return a number from 0 to 1 for a value and a purpose, evenly spread over values and always the same."""
    return int.from_bytes(sha256(f"{purpose}{value}".encode()).digest()[:8], "big") / 2**64
