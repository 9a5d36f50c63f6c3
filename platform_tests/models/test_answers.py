"""What came true, by task: a label of another kind is refused, with what to say instead."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headrace.core.errors import DataError, DeclarationError, OneClassOnly
from headrace.models.answers import group_sizes, weights_of
from headrace.models.train import train_model
from platform_tests.models.shop import LABEL, graded, model, orders, priced, relabelled, silent

REGRESSION = {"task": "regression"}
WEIGHED = model(weight="w")
RANKING = {"task": "ranking", "group": "basket"}


def learn(rows: pa.Table, **changes: object) -> None:
    train_model(rows, LABEL, model(**changes), silent)


def test_numbers_for_a_classification_are_a_regression() -> None:
    with pytest.raises(DataError, match=r"label\.sql: returned must be 0 or 1.*say `task: regression`"):
        learn(priced())


def test_several_classes_are_refused_with_what_to_do_instead() -> None:
    with pytest.raises(DataError, match=r"it holds \[0\.0, 1\.0, 2\.0\].*one from the others.*in a product for each"):
        learn(relabelled(orders(60), [0, 1, 2] * 20))


def test_nothing_but_0_and_1_is_no_number_to_predict() -> None:
    with pytest.raises(DataError, match="say `task: classification`"):
        learn(orders(), **REGRESSION)


def test_half_grades_and_grades_below_0_are_none() -> None:
    for wrong in ([0.5, 1.0], [-1.0, 2.0]):
        with pytest.raises(DataError, match="must be a whole grade from 0 on"):
            learn(relabelled(graded(orders(60)), wrong * 30), **RANKING)


def test_grades_above_those_that_lightgbm_ranks_by_are_refused() -> None:
    with pytest.raises(DataError, match="goes up to 400: LightGBM ranks by grades from 0 to 30"):
        learn(relabelled(graded(orders(60)), [0, 400] * 30), **RANKING)


def test_a_number_that_is_not_finite_is_no_label() -> None:
    with pytest.raises(DataError, match="not a finite number on every row"):
        learn(relabelled(orders(60), [1.5, np.inf] * 30), **REGRESSION)


def test_a_number_that_is_always_the_same_teaches_nothing() -> None:
    with pytest.raises(OneClassOnly, match=r"All 60 training rows have returned = 7\.5"):
        learn(relabelled(orders(60), [7.5] * 60), **REGRESSION)


@pytest.mark.parametrize("wrong", [-1.0, None, np.nan, np.inf])
def test_a_weight_that_is_missing_negative_or_not_finite_is_refused_with_how_many(wrong: float | None) -> None:
    rows = pa.table({"w": pa.array([1.0, wrong, 2.0], pa.float64())})
    with pytest.raises(DataError, match="1 of 3 rows have a weight in 'w' that is missing, negative"):
        weights_of(rows, WEIGHED, None)


def test_weights_that_are_all_0_or_texts_are_refused() -> None:
    with pytest.raises(DataError, match="Every weight in 'w' is 0"):
        weights_of(pa.table({"w": [0, 0]}), WEIGHED, None)
    with pytest.raises(DataError, match="which holds texts"):
        weights_of(pa.table({"w": ["1"]}), WEIGHED, None)


def test_balanced_classes_count_the_same_in_sum() -> None:
    answers = np.array([0.0] * 90 + [1.0] * 10)
    weights = weights_of(pa.table({}), model(class_weight="balanced"), answers)
    assert weights is not None
    assert weights[answers == 0].sum() == pytest.approx(weights[answers == 1].sum())
    assert weights.sum() == pytest.approx(100)


@given(st.lists(st.floats(0.01, 100), min_size=4, max_size=30))
def test_balanced_classes_count_the_same_in_sum_with_the_weights_of_their_rows(own: list[float]) -> None:
    answers = np.array([1.0, *[0.0] * (len(own) - 1)])
    weights = weights_of(pa.table({"w": own}), model(class_weight="balanced", weight="w"), answers)
    assert weights is not None
    assert weights[answers == 0].sum() == pytest.approx(weights[answers == 1].sum())
    assert weights.sum() == pytest.approx(sum(own))


def test_a_class_none_of_whose_rows_counts_cannot_be_balanced() -> None:
    rows, declared = pa.table({"w": [1, 0, 2]}), model(class_weight="balanced", weight="w")
    with pytest.raises(DataError, match="Every row of class 1 has the weight 0 in 'w'"):
        weights_of(rows, declared, np.array([0.0, 1.0, 0.0]))


def test_the_weight_of_a_class_is_times_that_of_the_row() -> None:
    rows = pa.table({"w": [1, 2, 3]})
    declared = model(class_weight={1: 5}, weight="w")
    assert np.array_equal(weights_of(rows, declared, np.array([0.0, 1.0, 0.0])), [1, 10, 3])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"class_weight": {2: 1}}, "for each of the classes 0 and 1"),
        ({"class_weight": {1: 0}}, "not a weight above 0"),
        ({"class_weight": "even"}, "balanced"),
        ({"class_weight": "balanced", "task": "regression"}, "`class_weight` weighs classes"),
        ({"class_weight": "balanced", "params": {"is_unbalance": True}}, "weigh the classes twice"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused_while_loading(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        model(**changes)


def test_a_row_without_a_group_is_refused() -> None:
    with pytest.raises(DataError, match="1 rows have no 'basket'"):
        group_sizes(pa.table({"basket": ["a", None]}), "basket")


@pytest.mark.parametrize("key", ["weight", "group"])
def test_a_weight_or_group_that_is_no_column_gets_the_nearest_name(key: str) -> None:
    task = {"task": "ranking", "group": "basket"} if key == "weight" else {"task": "ranking"}
    with pytest.raises(DeclarationError, match=f"`{key}` names 'pryce'.*Did you mean 'price'"):
        learn(graded(orders(60)), **{**task, key: "pryce"})
