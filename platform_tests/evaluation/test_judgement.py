"""Judgement: what is recorded of a candidate of each task, on which rows, and against whom."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError
from headrace.evaluation.duel import Difference
from headrace.evaluation.judgement import Worth
from headrace.evaluation.recipe import evaluation_recipe
from headrace.models.candidate import recorded_tuning, the_candidate
from headrace.models.declaration import Model
from headrace.models.words import MEASURED
from headrace.releases.assets import model_assets
from platform_tests.models.shop import LABEL, gates, graded, judged, model, orders, priced, shop, trained, trained_on


def test_the_rows_of_a_judgement_are_known_by_their_digest(tmp_path: Path) -> None:
    site = shop(tmp_path)
    first = judged(site, trained(site))
    assert first.rows == judged(site, trained(site, model(trees=5))).rows
    assert first.rows != judged(site, trained_on(site, orders(seed=1))).rows


def test_slices_that_are_declared_are_measured_without_a_gate_that_is_by_them(tmp_path: Path) -> None:
    site = shop(tmp_path)
    declared = model(evaluation={"slices": ["country"]})
    assert sorted(judged(site, trained(site, declared), declared=declared).evaluation.slices) == ["country"]


def test_another_confidence_gives_other_intervals_of_the_same_metrics(tmp_path: Path) -> None:
    site = shop(tmp_path)
    digest = trained(site)
    wide, narrow = (
        judged(site, digest, declared=model(evaluation={"confidence": share})).evaluation.overall
        for share in (0.99, 0.6)
    )
    assert wide.metrics == narrow.metrics
    assert wide.intervals["auc"][0] < narrow.intervals["auc"][0] < narrow.intervals["auc"][1] < wide.intervals["auc"][1]


@pytest.mark.parametrize(
    ("declared", "rows", "good", "bad"),
    [
        (model(task="regression"), priced(), "rmse <= 8", "r2 >= 0.999"),
        (model(task="quantile", quantile=0.9), priced(), "coverage >= 0.7", "pinball <= 0.01"),
        (model(task="ranking", group="basket"), graded(), "ndcg >= 0.8", "ndcg <= 0.5"),
    ],
    ids=lambda value: getattr(value, "task", ""),
)
def test_a_model_of_another_task_is_judged_by_its_own_metrics(
    tmp_path: Path, declared: Model, rows: pa.Table, good: str, bad: str
) -> None:
    site = shop(tmp_path, rows)
    judgement = judged(site, trained(site, declared), good, bad, declared=declared)
    assert [verdict.passed for verdict in judgement.verdicts(gates(good, bad))] == [True, False]
    assert judgement.evaluation.overall.intervals.keys() == judgement.evaluation.overall.metrics.keys()
    assert judgement.evaluation.headline == MEASURED[declared.task][0]


def test_a_gate_on_another_tasks_metric_is_an_error_while_loading(tmp_path: Path) -> None:
    with pytest.raises(
        DeclarationError, match=r"'auc >= 0\.7' is of a classification; `task: regression` has rmse, mae"
    ):
        model_assets(shop(tmp_path), LABEL, model(task="regression"), gates("auc >= 0.7"), None)


POOR = {"num_leaves": 2, "learning_rate": 0.01}


def searched(trees: int = 20, **tune: Any) -> Model:
    """Return a model whose declared parameters are poor, and some of which are searched for."""
    return model(
        trees=trees, params=POOR, tune={"trials": 4, **(tune or {"num_leaves": [7, 31], "learning_rate": [0.1, 0.3]})}
    )


def test_what_tuning_was_worth_is_told_on_the_same_test_rows_with_an_interval(tmp_path: Path) -> None:
    site = shop(tmp_path)
    judgement = judged(site, trained(site, searched()), declared=searched())
    worth = judgement.tuning
    assert worth is not None
    assert worth.difference is not None
    assert worth.tuned == judgement.evaluation.overall.metrics["auc"]
    untuned = judged(site, trained(site, model(params=POOR)), declared=model(params=POOR))
    assert worth.default == untuned.model
    assert worth.declared == untuned.evaluation.overall.metrics["auc"]
    assert worth.difference.value == pytest.approx(worth.tuned - untuned.evaluation.overall.metrics["auc"])
    assert 0 < worth.difference.low < worth.difference.value < worth.difference.high
    assert worth.said.startswith(
        f"Tuning was worth it: auc {worth.tuned:.4f} on the test rows, {worth.declared:.4f} with"
    )
    assert judgement.facts()["tuning"] == worth.said


def test_a_difference_that_chance_may_have_made_is_called_one(tmp_path: Path) -> None:
    site, declared = shop(tmp_path), model(tune={"trials": 2, "num_leaves": [6, 8], "learning_rate": [0.19, 0.21]})
    judgement = judged(site, trained(site, declared), declared=declared)
    assert judgement.tuning
    assert judgement.tuning.said.startswith(
        ("Tuning made no difference beyond chance: ", "Tuning found nothing better")
    )


@pytest.mark.parametrize(
    ("metric", "low", "high", "words"),
    [
        ("auc", 0.01, 0.03, "Tuning was worth it: "),
        ("auc", -0.01, 0.03, "Tuning made no difference beyond chance: "),
        ("auc", -0.03, -0.01, "Tuning did harm: "),
        ("rmse", -0.03, -0.01, "Tuning was worth it: "),
        ("rmse", 0.01, 0.03, "Tuning did harm: "),
    ],
)
def test_whether_it_was_worth_it_follows_the_interval_and_which_way_is_better(
    metric: str, low: float, high: float, words: str
) -> None:
    difference = Difference(value=(low + high) / 2, low=low, high=high, detectable=0.01)
    worth = Worth(default="d", metric=metric, params={"a": 1}, tuned=0.8, declared=0.7, difference=difference)
    assert worth.said.startswith(words)
    assert "cannot be told" in worth.model_copy(update={"difference": None}).said


def test_parameters_that_were_no_better_are_said_to_be_none(tmp_path: Path) -> None:
    site, declared = shop(tmp_path), searched(min_gain_to_split=[1e8, 1e9])
    judgement = judged(site, trained(site, declared), declared=declared)
    assert judgement.tuning
    assert judgement.tuning.said == "Tuning found nothing better than the declared parameters: the model is theirs."


def test_a_model_that_is_held_against_other_declared_parameters_is_another_evaluation(tmp_path: Path) -> None:
    site, declared = shop(tmp_path), searched()
    trained(site, declared)
    recipe = evaluation_recipe(site, LABEL, declared, gates())
    assert recipe.facts["declared parameters"] == (recorded_tuning(site, the_candidate(site).digest) or {})["default"]
    assert "declared parameters" not in evaluation_recipe(site, LABEL, model(), gates()).facts
