"""Profiles: counts over kept bins, that add up."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DataError
from headrace.models.meta import Input
from headrace.models.profile import BINS, FARTHEST, TOP, Profile, grid_of, merged_profiles, profile_of

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
    found = profile_of(prices([5.0] * 10), [PRICE])["price"]
    assert (found["edges"], found["counts"], found["missing"]) == ([5.0], [10, 0], 0)
    assert (found["least"], found["most"]) == (5.0, 5.0)


def test_what_lies_beyond_the_reference_falls_into_the_outer_bins() -> None:
    reference = profile_of(prices([1.0, 2.0, 3.0]), [PRICE])
    counts = profile_of(prices([-100.0, 100.0]), [PRICE], reference)["price"]["counts"]
    assert (counts[0], counts[-1]) == (1, 1)


def test_texts_are_counted_by_category_and_new_ones_beside_missing_ones() -> None:
    rows = pa.table({"country": ["FR", "XX", None, "FR"]})
    found = profile_of(rows, [COUNTRY])["country"]
    assert (found["categories"], found["counts"], found["missing"]) == (["DE", "FR"], [0, 2], 1)
    assert (found["new"], found["names"], found["other"]) == (1, {"XX": 1}, 0)


def test_no_rows_give_empty_counts() -> None:
    found = profile_of(prices([]), [PRICE])["price"]
    assert (found["edges"], found["counts"], found["missing"], found["least"]) == ([], [0], 0, None)


@settings(deadline=None)
@given(VALUES, st.lists(VALUES, max_size=5))
def test_a_merge_of_parts_is_the_profile_of_the_whole_to_the_last_digit(
    kept: list[float | None], parts: list[list[float | None]]
) -> None:
    reference = profile_of(prices(kept), [PRICE])
    whole = profile_of(prices([value for part in parts for value in part]), [PRICE], reference)
    days = [profile_of(prices(part), [PRICE], reference) for part in [[], *parts]]
    assert merged_profiles(days) == whole
    assert merged_profiles(days[::-1]) == whole


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([None, "DE", "FR", *(f"new {n}" for n in range(40))]), max_size=60), min_size=1)
)
def test_a_merge_of_texts_names_the_same_new_categories_with_the_same_rows(parts: list[list[str | None]]) -> None:
    def of(texts: list[str | None]) -> Profile:
        reference = {"country": {"categories": ["DE"]}}
        return profile_of(pa.table({"country": pa.array(texts, pa.string())}), [COUNTRY], reference)

    assert merged_profiles([of(part) for part in parts]) == of([text for part in parts for text in part])


def test_a_batch_larger_than_is_counted_at_once_is_counted_in_pieces() -> None:
    values = list(np.random.default_rng(0).normal(1e6, 3.0, 300_000))
    reference = profile_of(prices(values[:1000]), [PRICE])
    pieces = [profile_of(prices(values[n : n + 7000]), [PRICE], reference) for n in range(0, 300_000, 7000)]
    assert merged_profiles(pieces) == profile_of(prices(values), [PRICE], reference)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(1e-6, 1e6), st.floats(-1e9, 1e9))
@settings(deadline=None)
def test_mean_and_deviation_are_those_of_the_rows_within_half_a_step(
    sample: list[float], scale: float, at: float
) -> None:
    values = [value * scale + at for value in sample]
    found = profile_of(prices(values), [PRICE])["price"]
    grid = grid_of(found["edges"])
    steps = np.array([(value - grid.middle) * grid.steps for value in values])
    if np.abs(steps).max() < FARTHEST:
        assert sum(found["sums"]) / len(values) == pytest.approx(steps.mean(), abs=0.5001)
        assert found["squares"] == sum(int(step) ** 2 for step in np.rint(steps))


def test_only_the_categories_with_most_rows_are_counted_one_by_one() -> None:
    names = [f"c{n:03d}" for n in range(TOP + 10)]
    column = Input(name="country", kind="categorical", categories=names)
    rows = pa.table({"country": [name for n, name in enumerate(names) for _ in range(1 + (n >= 10))]})
    found = profile_of(rows, [column])["country"]
    assert found["categories"] == names[10:]
    assert (found["other"], found["new"], sum(found["counts"])) == (10, 0, 2 * TOP)


def test_profiles_over_different_bins_are_not_added() -> None:
    with pytest.raises(DataError, match="not all have the edges of the first"):
        merged_profiles([profile_of(prices([1.0]), [PRICE]), profile_of(prices([2.0]), [PRICE])])
