"""Rows that should be equal and are not are named: by key and column, as whole rows, or by what the table has as a whole."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.store.digest import rows_digest
from headrace.store.unlike import NOTHING, ROW, Unlike, unlike

VALUES = st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(0, 2)), max_size=6)


def rows(*pairs: tuple[Any, Any], **more: list[Any]) -> pa.Table:
    keys, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return pa.table({"id": pa.array(keys, pa.int64()), "value": pa.array(values, pa.int64()), **more})


def found(stored: pa.Table, made: pa.Table, *key: str) -> Unlike:
    other = unlike("p/t", stored, made, key)
    assert other
    return other


def told(other: Unlike) -> list[tuple[str, str, str, str]]:
    return [(cell.key, cell.column, cell.stored, cell.made) for cell in other.cells]


def test_a_value_is_named_by_key_and_column() -> None:
    other = found(rows((1, 5), (2, 6)), rows((2, 7), (1, 5)), "id")
    assert told(other) == [("id 2", "value", "6", "7")]
    assert other.whole == ""
    assert str(other.cells[0]) == "p/t, id 2, value: holds 6, and its inputs make 7"


def test_a_value_of_a_table_without_a_key_is_named_alone_wherever_its_row_stands() -> None:
    other = found(rows((1, 5), (1, 5), (2, 6), (3, 8)), rows((3, 8), (1, 5), (2, 0), (1, 5)))
    assert told(other) == [("row 1 of those that differ", "value", "6", "0")]


@pytest.mark.parametrize("key", [(), ("id",)])
def test_a_row_that_is_there_twice_is_named_and_counted(key: tuple[str, ...]) -> None:
    other = found(rows((1, 5), (1, 5), (2, 6)), rows((1, 5), (2, 6)), *key)
    [cell] = other.cells
    assert (cell.column, cell.made) == (ROW, NOTHING)
    assert "value 5" in cell.stored
    assert other.whole == "it has 3 rows, and they make 2"


def test_a_row_that_one_side_lacks_is_named_though_all_its_other_values_are_missing() -> None:
    assert told(found(rows((1, 5)), rows((1, 5), (2, None)), "id")) == [("id 2", ROW, NOTHING, "value None")]


def test_columns_and_types_are_named_where_no_cell_differs() -> None:
    assert found(rows((1, 5), extra=["x"]), rows((1, 5)), "id") == Unlike([], "columns that only it has: extra")
    assert found(rows((1, 5)), rows((1, 5), new=["x"]), "id") == Unlike([], "columns that it lacks: new")
    wider = rows((1, 5)).set_column(1, "value", pa.array([5], pa.int32()))
    assert found(rows((1, 5)), wider, "id") == Unlike([], "value is int64, and they make int32")


def test_rows_without_their_key_are_named_all_the_same() -> None:
    other = found(rows((1, 5), (2, 6)).drop_columns(["id"]), rows((1, 5), (2, 7)), "id")
    assert told(other) == [("row 1 of those that differ", "value", "6", "7")]
    assert other.whole == "columns that it lacks: id"


@given(stored=VALUES, made=VALUES, key=st.sampled_from([(), ("id",)]))
def test_two_tables_are_alike_where_their_digests_are_and_else_something_is_named(
    stored: list[Any], made: list[Any], key: tuple[str, ...]
) -> None:
    one, other = rows(*stored), rows(*made)
    differs = unlike("p/t", one, other, key)
    assert (differs is None) == (rows_digest(one) == rows_digest(other))
    if differs:
        assert differs.cells
