"""What may be searched for: ranges and choices of parameters that the trainer knows, checked while the declaration loads."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.models.declaration import Model
from headrace.models.tuning.declaration import Tune
from headrace.models.tuning.space import Choice, Range
from platform_tests.models.shop import model, plain


def tune(**said: Any) -> Tune:
    return Tune.model_validate(said)


def test_two_numbers_are_a_range_and_whole_ones_stay_whole() -> None:
    space = tune(num_leaves=[15, 127], learning_rate=[0.02, 0.2], max_bin=[63, 255.0]).space
    assert space == {"num_leaves": Range(15, 127), "learning_rate": Range(0.02, 0.2), "max_bin": Range(63, 255.0)}
    assert [dimension.is_whole for dimension in space.values() if isinstance(dimension, Range)] == [True, False, False]


@pytest.mark.parametrize(
    ("ends", "is_log"),
    [([0.02, 0.2], False), ([0.01, 0.2], True), ([0, 100], False), ([-1, 100], False), ([1, 11], True)],
)
def test_a_range_over_more_than_a_factor_of_ten_above_zero_is_searched_by_its_logarithm(
    ends: list[float], is_log: bool
) -> None:
    [dimension] = tune(lambda_l2=ends).space.values()
    assert isinstance(dimension, Range)
    assert dimension.is_log is is_log


@pytest.mark.parametrize("values", [["gbdt", "dart"], [15, 31, 63], [True, False], [0.1, "auto"]])
def test_more_values_than_two_numbers_and_texts_are_a_choice(values: list[Any]) -> None:
    assert tune(of=values).space == {"of": Choice(tuple(values))}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"num_leaves": [127, 15]}, "write the least first"),
        ({"num_leaves": [15, 15]}, "write the least first"),
        ({"num_leaves": [15]}, "two values or more, each once"),
        ({"boosting": ["gbdt", "gbdt"]}, "two values or more, each once"),
        ({"lambda_l2": [0.0, float("inf")]}, "no finite number"),
        ({"num_leaves": 31}, "no range and no choice: of a parameter say"),
        ({"trails": 20}, "Did you mean 'trials'"),
        ({"trials": 20}, "names no parameter to search for"),
        ({"trials": 0, "num_leaves": [15, 31]}, "greater than or equal to 1"),
        ({"on": "spark", "num_leaves": [15, 31]}, "'here' or 'ray'"),
        ({"within": "soon", "num_leaves": [15, 31]}, "not a duration"),
    ],
)
def test_what_leaves_nothing_to_search_is_refused_with_what_to_write(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        tune(**said)


def test_a_parameter_that_the_trainer_does_not_know_gets_the_nearest_name() -> None:
    with pytest.raises(ValidationError, match=r"'num_leafs' is no parameter of LightGBM.*Did you mean 'num_leaves'"):
        model(tune={"num_leafs": [15, 127]})
    with pytest.raises(ValidationError, match=r"'num_leaves' is no parameter of XGBoost"):
        plain("xgboost", tune={"num_leaves": [15, 127]})
    with pytest.raises(ValidationError, match=r"'epochs' of the net is a number of at least 1, not 0"):
        plain("torch", tune={"epochs": [0, 10]})


def test_what_weighs_classes_is_searched_for_only_where_there_are_classes_and_nothing_else_weighs_them() -> None:
    assert model(tune={"scale_pos_weight": [0.5, 2.0]})
    with pytest.raises(ValidationError, match="weigh classes, and `task: regression` has none"):
        model(task="regression", tune={"scale_pos_weight": [0.5, 2.0]})
    with pytest.raises(ValidationError, match="weigh the classes twice"):
        model(class_weight="balanced", tune={"scale_pos_weight": [0.5, 2.0]})


def test_a_declaration_is_written_as_it_is_read() -> None:
    said = {"trials": 5, "within": "30m", "num_leaves": [15, 127], "boosting": ["gbdt", "dart"]}
    declared = model(tune=said)
    assert declared.tune
    assert declared.tune.within == timedelta(minutes=30)
    written = declared.model_dump(mode="json", exclude_defaults=True)
    assert written["tune"] == said
    assert Model.model_validate(written) == declared
