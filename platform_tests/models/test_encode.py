"""Rows as numbers: the same for training and serving."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError
from headrace.models.encode import encode, inputs_of
from headrace.models.meta import Input

COUNTRY = Input(name="country", kind="categorical", categories=["DE", "FR"])
PRICE = Input(name="price", kind="numeric")


def codes(values: pa.Array, column: Input) -> list[float | None]:
    return encode(pa.table({column.name: values}), [column])[column.name].to_pylist()


def test_numbers_booleans_and_texts_are_inputs_and_times_are_not() -> None:
    rows = pa.table(
        {"a": [1], "b": [1.5], "c": [True], "d": ["x"], "e": pa.array([0], pa.timestamp("us", "UTC")), "_day": [1]}
    )
    assert [(i.name, i.kind) for i in inputs_of(rows, [])] == [
        ("a", "numeric"),
        ("b", "numeric"),
        ("c", "numeric"),
        ("d", "categorical"),
    ]


def test_ignored_columns_are_no_inputs() -> None:
    assert inputs_of(pa.table({"a": [1], "b": [2]}), ["a"]) == [Input(name="b", kind="numeric")]


def test_categories_are_sorted_whatever_order_they_come_in() -> None:
    assert inputs_of(pa.table({"x": ["b", None, "a", "b"]}), [])[0].categories == ["a", "b"]


def test_a_category_that_was_never_seen_is_missing() -> None:
    assert codes(pa.array(["FR", "XX", None, "DE"]), COUNTRY) == [1.0, None, None, 0.0]


def test_texts_in_a_dictionary_are_texts() -> None:
    packed = pa.array(["FR", "DE"]).dictionary_encode()
    assert codes(packed, COUNTRY) == [1.0, 0.0]
    assert inputs_of(pa.table({"country": packed}), []) == [COUNTRY]


def test_a_column_that_was_all_missing_in_training_stays_missing() -> None:
    assert codes(pa.array(["DE"]), Input(name="country", kind="categorical")) == [None]


@pytest.mark.parametrize("values", [pa.array([1, 2]), pa.array([1.0, 2.0]), pa.array([True, False])])
def test_numbers_for_texts_are_refused_by_name(values: pa.Array) -> None:
    with pytest.raises(DataError, match="Column 'country' is categorical for the model"):
        codes(values, COUNTRY)


def test_texts_for_numbers_are_refused_by_name() -> None:
    with pytest.raises(DataError, match="Column 'price' is numeric for the model"):
        codes(pa.array(["1", "2"]), PRICE)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=r"needs columns \['price'\]"):
        encode(pa.table({"country": ["DE"]}), [COUNTRY, PRICE])


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=True), st.integers(-5, 5))))
def test_numbers_stay_what_they_are_and_nan_is_missing(values: list[float | None]) -> None:
    expected = [None if v is None or np.isnan(v) else float(v) for v in values]
    assert codes(pa.array(values, pa.float64()), PRICE) == expected
