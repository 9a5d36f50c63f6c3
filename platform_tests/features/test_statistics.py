"""What a column holds, in numbers: of what is there, and of nothing that is not."""

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.features.statistics import (
    BARS,
    Statistics,
    as_facts,
    from_facts,
    recorded_statistics,
    remembered_statistics,
    statistics_of,
)
from platform_tests.models.shop import orders, shop, trained


def of(values: list[Any], kind: pa.DataType | None = None) -> Statistics:
    return statistics_of(pa.table({"column": pa.array(values, kind)}))["column"]


def test_numbers_have_a_mean_a_deviation_and_quantiles() -> None:
    found = of([1.0, 2.0, 3.0, 4.0, None])
    assert (found.kind, found.rows, found.missing, found.distinct) == ("number", 5, 1, 4)
    assert (found.mean, found.least, found.greatest) == (2.5, 1.0, 4.0)
    assert found.sd == pytest.approx(math.sqrt(5 / 3))
    assert found.quantiles["50%"] == 2.0
    assert found.missing_share == 0.2


def test_a_nan_is_missing_and_an_infinite_value_has_no_part_in_the_mean() -> None:
    found = of([1.0, math.nan, math.inf, 3.0])
    assert (found.missing, found.mean, found.greatest) == (1, 2.0, 3.0)
    json.dumps(as_facts({"column": found}), allow_nan=False)


def test_integers_are_counted_in_parts_of_whole_numbers() -> None:
    found = of([0, 1, 1, 2] * 10)
    assert found.kind == "integer"
    assert found.histogram is not None
    assert found.histogram.counts == [10, 20, 10]


def test_a_boolean_has_its_share_of_true_however_rare() -> None:
    found = of([True] + [False] * 999)
    assert (found.kind, found.mean) == ("boolean", 0.001)
    assert found.histogram is not None
    assert found.histogram.counts == [999, 1]


def test_of_a_text_those_that_come_most_are_told_and_none_that_comes_once() -> None:
    found = of(["b", "a", "b", None, "a", "b", "only once"])
    assert (found.kind, found.distinct, found.top) == ("text", 3, [("b", 3), ("a", 2)])


def test_of_a_time_the_first_and_the_last_are_told() -> None:
    found = of([datetime(2024, 1, day, tzinfo=UTC) for day in (2, 1, 3)])
    assert (found.kind, found.least, found.greatest) == (
        "time",
        "2024-01-01T00:00:00+00:00",
        "2024-01-03T00:00:00+00:00",
    )


@pytest.mark.parametrize("kind", [pa.float64(), pa.int64(), pa.bool_(), pa.string(), pa.timestamp("us", "UTC")])
def test_a_column_without_any_value_has_only_what_is_missing(kind: pa.DataType) -> None:
    found = of([None, None], kind)
    assert (found.rows, found.missing, found.distinct, found.mean, found.top) == (2, 2, 0, None, [])


def test_lists_are_counted_and_nothing_more_is_said_of_them() -> None:
    found = of([[1], None])
    assert (found.kind, found.missing, found.distinct) == ("other", 1, None)


@given(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=1), st.randoms())
def test_the_order_of_rows_changes_nothing_and_every_value_is_in_one_part(
    values: list[float | None], chance: Any
) -> None:
    found = of(values, pa.float64())
    shuffled = chance.sample(values, len(values))
    again = of(shuffled, pa.float64())
    assert found.model_copy(update={"mean": 0, "sd": 0}) == again.model_copy(update={"mean": 0, "sd": 0})
    present = len(values) - values.count(None)
    if found.histogram:
        assert sum(found.histogram.counts) == present
        assert len(found.histogram.counts) <= BARS
        quantiles = [found.least, *found.quantiles.values(), found.greatest]
        assert quantiles == sorted(quantiles)  # type: ignore[type-var]


def test_what_is_kept_is_what_was_found() -> None:
    found = statistics_of(orders(100))
    assert from_facts(json.loads(json.dumps(as_facts(found)))) == found


def test_a_model_is_kept_with_the_statistics_of_the_rows_that_it_learned_from(tmp_path: Path) -> None:
    site = shop(tmp_path)
    found = recorded_statistics(site, trained(site))
    assert (found["price"].rows, found["country"].kind) == (1450, "text")
    assert recorded_statistics(site, "another") == {}


def test_of_a_stored_training_set_they_are_found_once_for_each_version(tmp_path: Path) -> None:
    site = shop(tmp_path)
    asked = []

    def read() -> pa.Table:
        asked.append(1)
        return site.tables.read("shop/training/set")

    assert remembered_statistics(site, read) == remembered_statistics(site, read) == statistics_of(read())
    assert len(asked) == 2
    site.tables.replace("shop/training/set", orders(50))
    assert remembered_statistics(site)["price"].rows == 50


def test_without_a_training_set_there_are_none(tmp_path: Path) -> None:
    site = shop(tmp_path)
    other = type(site)(site.product.model_copy(update={"product": "other"}), tmp_path, site.place)
    assert remembered_statistics(other) == {}
