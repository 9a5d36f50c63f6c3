"""Rows of text stand in columns."""

from headrace.core.columns import in_columns


def test_texts_stand_to_the_left_and_numbers_to_the_right_of_columns_as_wide_as_their_longest() -> None:
    assert in_columns(["name", "rows"], [["a", 1200], ["long", 3]]) == "name   rows\na     1,200\nlong      3"


def test_no_rows_leave_the_head() -> None:
    assert in_columns(["name", "rows"], []) == "name  rows"
