"""Splits: by time with an embargo, by group, and at several origins; what cannot be split is refused in words."""

from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.core.errors import DataError, DeclarationError, NoRows
from headrace.models.declaration import Split
from headrace.models.split import (
    canonical,
    older_splits,
    split_by_group,
    split_by_time,
    split_off_groups,
    split_rows,
    unseen_by,
)
from headrace.models.train import train_model
from platform_tests.models.shop import DAYS, LABEL, model, orders, silent


def shoppers(rows: int = 2000, count: int = 200) -> pa.Table:
    """Return orders of customers."""
    return orders(rows).append_column("customer", pa.array([f"c{i * 7919 % count}" for i in range(rows)]))


def values(rows: pa.Table) -> set[Any]:
    return set(rows["customer"].to_pylist())


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 10))
def test_the_test_begins_after_the_labels_of_all_training_rows_were_known(days: int, known_after: int) -> None:
    rows, gap = orders(200), timedelta(days=known_after)
    split = split_by_time(rows, LABEL.model_copy(update={"known_after": gap}), timedelta(days=days))
    begins = pc.max(rows["at"]).as_py() - timedelta(days=days)
    assert pc.max(split.train["at"]).as_py() + gap <= begins < pc.min(split.test["at"]).as_py()
    unknown = [at for at in rows["at"].to_pylist() if begins - gap < at <= begins]
    assert split.train.num_rows + len(unknown) + split.test.num_rows == rows.num_rows


def test_an_empty_training_set_is_refused() -> None:
    with pytest.raises(NoRows, match="training set is empty"):
        split_by_time(orders(10).slice(0, 0), LABEL, timedelta(days=1))


def test_a_history_shorter_than_the_test_span_is_refused() -> None:
    with pytest.raises(NoRows, match=r"test span of 39d or the 24h before it.*nothing is left to train on"):
        split_by_time(orders(), LABEL, timedelta(days=DAYS - 1))


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 5))
def test_each_fold_learns_from_what_was_known_when_its_span_began(folds: int, days: int, known_after: int) -> None:
    rows, declared = orders(400), Split.model_validate({"test": f"{days}d", "folds": folds})
    label = LABEL.model_copy(update={"known_after": timedelta(days=known_after)})
    splits = [*older_splits(rows, label, declared), split_rows(rows, label, declared)]
    assert len(splits) == folds
    newest = pc.max(rows["at"]).as_py()
    for back, split in enumerate(reversed(splits)):
        end = newest - timedelta(days=days) * back
        span = pc.min_max(split.test["at"]).as_py()
        assert end - timedelta(days=days) < span["min"] <= span["max"] <= end
        assert pc.max(split.train["at"]).as_py() + label.known_after <= end - timedelta(days=days)
    judged = pa.concat_tables([split.test for split in splits])["order_id"].to_pylist()
    assert len(judged) == len(set(judged))


def test_a_fold_with_nothing_before_it_is_refused_with_its_number() -> None:
    with pytest.raises(NoRows, match=r"Fold 1 of 4 .* before which no label was known.*`model.split.folds`"):
        older_splits(orders(), LABEL, Split.model_validate({"test": "10d", "folds": 4}))


def test_a_fold_in_which_nothing_happened_is_refused() -> None:
    rows = orders()
    kept = rows.filter(pa.array((np.arange(2000) < 900) | (np.arange(2000) > 1600)))
    with pytest.raises(NoRows, match=r"Fold 1 of 3 .* in which no row lies"):
        older_splits(kept, LABEL, Split.model_validate({"test": "7d", "folds": 3}))


@settings(deadline=None, max_examples=30)
@given(st.floats(0.05, 0.6), st.integers(0, 2**20))
def test_no_value_of_a_group_is_on_both_sides_and_no_row_is_lost(share: float, seed: int) -> None:
    rows = shoppers()
    shuffled = rows.take(np.random.default_rng(seed).permutation(rows.num_rows))
    split = split_by_group(shuffled, "customer", share)
    assert not values(split.train) & values(split.test)
    assert split.train.num_rows + split.test.num_rows == rows.num_rows
    assert values(split.test) == values(split_by_group(rows, "customer", share).test)
    assert len(values(split.test)) == pytest.approx(200 * share, abs=4 * (200 * share * (1 - share)) ** 0.5 + 1)


def test_a_value_stays_on_its_side_when_rows_and_other_values_arrive() -> None:
    before, after = (split_by_group(shoppers(rows, count), "customer", 0.3) for rows, count in ((500, 80), (2000, 300)))
    assert values(before.test) <= values(after.test)
    assert values(before.train) <= values(after.train)


def test_a_larger_share_keeps_what_was_held_out() -> None:
    assert values(split_by_group(shoppers(), "customer", 0.1).test) <= values(
        split_by_group(shoppers(), "customer", 0.4).test
    )


def test_rows_without_a_group_and_groups_that_all_fall_to_one_side_are_refused() -> None:
    rows = shoppers(10)
    with pytest.raises(DataError, match="10 rows have no 'customer'"):
        split_by_group(rows.set_column(7, "customer", pa.nulls(10, pa.string())), "customer", 0.2)
    with pytest.raises(NoRows, match="None of the 1 values of 'customer' falls to"):
        split_by_group(shoppers(10, 1), "customer", 0.2)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.05, 0.5), st.floats(0.05, 0.5))
def test_groups_that_are_split_off_training_do_not_depend_on_the_share_of_the_test(one: float, other: float) -> None:
    kept = [split_by_group(shoppers(), "customer", share).train for share in (one, other)]
    parts = [split_off_groups(train, "customer", "a purpose", (0.2, 0.4)) for train in kept]
    both = values(kept[0]) & values(kept[1])
    assert values(parts[0].test) & both == values(parts[1].test) & both
    for train, part in zip(kept, parts, strict=True):
        assert not values(part.train) & values(part.test)
        assert part.train.num_rows + part.test.num_rows == train.num_rows
        assert 0.08 < len(values(part.test)) / len(values(train)) < 0.35


def test_too_few_groups_to_split_off_any_are_refused_with_the_purpose() -> None:
    with pytest.raises(
        NoRows, match=r"Of 1 values of 'customer' in training none is (held out|left .*) for calibration"
    ):
        split_off_groups(shoppers(10, 1), "customer", "calibration", (0, 0.2))


def test_what_neither_of_two_models_has_seen_are_later_rows_and_the_groups_that_both_held_out() -> None:
    rows = shoppers()
    by_group = {"by": "group", "column": "customer"}
    small, large = (
        train_model(rows, LABEL, model(trees=1, split={**by_group, "test": test}), silent).meta for test in (0.1, 0.3)
    )
    timed = train_model(rows.slice(0, 1000), LABEL, model(trees=1), silent).meta
    assert values(unseen_by([small, large], rows, LABEL)) == values(split_by_group(rows, "customer", 0.1).test)
    assert unseen_by([timed], rows, LABEL).num_rows == 950
    both = unseen_by([timed, small], rows, LABEL)
    assert values(both) <= values(split_by_group(rows, "customer", 0.1).test)
    assert pc.min(both["at"]).as_py() > timed.train_to + LABEL.known_after


def test_a_group_that_is_no_column_gets_the_nearest_name() -> None:
    with pytest.raises(DeclarationError, match="Did you mean 'customer'"):
        split_by_group(shoppers(10), "custommer", 0.2)


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"test": "0d"}, "greater than 0"),
        ({"test": "20%"}, "`by: time` holds out a time span"),
        ({"by": "group", "column": "c", "test": "20d"}, "`by: group` a share"),
        ({"by": "group", "column": "c", "test": "100%"}, "less than 100%"),
        ({"by": "group", "test": "20%"}, "`by: group` and `column`"),
        ({"test": "10d", "column": "c"}, "`by: group` and `column`"),
        ({"by": "group", "column": "c", "test": "20%", "folds": 3}, "`folds` go with `by: time`"),
        ({"test": "soon"}, "'soon' is neither a time span"),
    ],
)
def test_what_does_not_go_together_is_refused_while_loading(declared: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Split.model_validate(declared)


@pytest.mark.parametrize("declared", [{"test": "28d", "folds": 4}, {"by": "group", "column": "c", "test": "12.5%"}])
def test_a_split_reads_back_as_it_was_written(declared: dict[str, Any]) -> None:
    split = Split.model_validate(declared)
    assert Split.model_validate_json(split.model_dump_json()) == split


def test_canonical_order_is_by_time_and_entity() -> None:
    rows = orders(100)
    assert canonical(rows.take(list(range(99, -1, -1))), LABEL).equals(rows)
