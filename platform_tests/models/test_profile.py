"""Profiles: counts over kept bins, that add up."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.models.encode import Input
from headrace.models.profile import BINS, profile_of

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(-3, 3).map(float)), max_size=60)
PRICE = Input(name="price", kind="numeric")
COUNTRY = Input(name="country", kind="categorical", categories=["DE", "FR"])


def prices(values: list[float | None]) -> pa.Table:
    return pa.table({"price": pa.array(values, pa.float64())})


@settings(deadline=None)
@given(VALUES)
def test_every_row_is_counted_once(values: list[float | None]) -> None:
    found = profile_of(prices(values), [PRICE])["price"]
    assert sum(found["counts"]) + found["missing"] == len(values)
    assert len(found["counts"]) == len(found["edges"]) + 1


@settings(deadline=None)
@given(VALUES)
def test_a_sample_against_its_own_profile_gives_that_profile(values: list[float | None]) -> None:
    reference = profile_of(prices(values), [PRICE])
    assert profile_of(prices(values), [PRICE], reference) == reference


@settings(deadline=None)
@given(VALUES, VALUES, VALUES)
def test_profiles_of_parts_add_up_to_that_of_the_whole(
    kept: list[float | None], a: list[float | None], b: list[float | None]
) -> None:
    reference = profile_of(prices(kept), [PRICE])
    one, two, whole = (profile_of(prices(part), [PRICE], reference)["price"] for part in (a, b, a + b))
    assert [m + n for m, n in zip(one["counts"], two["counts"], strict=True)] == whole["counts"]
    assert one["missing"] + two["missing"] == whole["missing"]


def test_bins_hold_about_equal_shares_of_the_reference() -> None:
    counts = profile_of(prices(list(np.random.default_rng(0).exponential(size=6400))), [PRICE])["price"]["counts"]
    assert len(counts) == BINS
    assert max(counts) - min(counts) <= 2


def test_a_column_with_one_value_has_one_edge() -> None:
    assert profile_of(prices([5.0] * 10), [PRICE])["price"] == {"edges": [5.0], "counts": [10, 0], "missing": 0}


def test_what_lies_beyond_the_reference_falls_into_the_outer_bins() -> None:
    reference = profile_of(prices([1.0, 2.0, 3.0]), [PRICE])
    counts = profile_of(prices([-100.0, 100.0]), [PRICE], reference)["price"]["counts"]
    assert (counts[0], counts[-1]) == (1, 1)


def test_texts_are_counted_by_category_and_unknown_ones_as_missing() -> None:
    rows = pa.table({"country": ["FR", "XX", None, "FR"]})
    assert profile_of(rows, [COUNTRY])["country"] == {"categories": ["DE", "FR"], "counts": [0, 2], "missing": 2}


def test_no_rows_give_empty_counts() -> None:
    assert profile_of(prices([]), [PRICE])["price"] == {"edges": [], "counts": [0], "missing": 0}
