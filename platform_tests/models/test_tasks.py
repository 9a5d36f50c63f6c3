"""The four tasks: each learns what it is asked for, with weights and missing values, and gives equal bytes for equal rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from headrace.models.meta import Meta
from headrace.models.predict import Predictor
from headrace.models.train import Trained, train_model
from platform_tests.models.shop import LABEL, graded, model, orders, priced, relabelled, silent


def learned(rows: pa.Table, **changes: object) -> Trained:
    return train_model(rows, LABEL, model(**changes), silent)


def scores_of(trained: Trained, rows: pa.Table) -> Any:
    return Predictor(trained.fitted, trained.meta).predict(rows)


def test_a_regression_predicts_numbers_near_the_truth() -> None:
    found = scores_of(learned(priced(), task="regression", trees=100), priced(seed=1))
    errors = found - priced(seed=1)["returned"].to_numpy()
    assert abs(errors.mean()) < 0.5
    assert errors.std() < 4


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_about_the_declared_share_of_the_truth_stays_below_a_quantile(quantile: float) -> None:
    found = scores_of(learned(priced(), task="quantile", quantile=quantile, trees=100), priced(seed=1))
    below = (priced(seed=1)["returned"].to_numpy() <= found).mean()
    assert below == pytest.approx(quantile, abs=0.07)


def test_a_ranking_puts_better_grades_first_within_a_group() -> None:
    rows = graded(orders(seed=1))
    found = scores_of(learned(graded(), task="ranking", group="basket"), rows)
    grades, baskets = rows["returned"].to_numpy(), np.array(rows["basket"].to_pylist())
    in_order = [
        _concordant(grades[baskets == basket], found[baskets == basket]) for basket in np.unique(baskets).tolist()
    ]
    assert np.mean(in_order) > 0.9


def _concordant(grades: Any, scores: Any) -> float:
    """Return the share of pairs of other grades that the scores put in their order."""
    better = grades[:, None] > grades[None, :]
    return float((scores[:, None] > scores[None, :])[better].mean())


def test_the_rows_of_a_group_need_not_stand_together() -> None:
    rows = graded(orders(600))
    baskets = np.array(rows["basket"].to_pylist())
    together = rows.take(np.argsort(baskets, kind="stable"))
    ranking = {"task": "ranking", "group": "basket"}
    assert learned(rows, **ranking).fitted.to_bytes() == learned(together, **ranking).fitted.to_bytes()


def test_weight_and_group_are_no_inputs() -> None:
    rows = graded().append_column("worth", pa.array(np.ones(2000)))
    inputs = learned(rows, task="ranking", group="basket", weight="worth").meta.inputs
    assert not {"basket", "worth"} & {column.name for column in inputs}


def test_rows_of_weight_0_teach_nothing() -> None:
    rows = orders()
    wrong = np.arange(2000) % 2 == 0
    labels = np.where(wrong, 1 - rows["returned"].to_numpy(), rows["returned"].to_numpy())
    weighed = relabelled(rows, labels).append_column("worth", pa.array(np.where(wrong, 0.0, 1.0)))
    found = scores_of(learned(weighed, weight="worth"), rows)
    truth = rows["returned"].to_numpy()
    assert found[truth == 1].mean() > found[truth == 0].mean() + 0.2


def test_equal_weights_change_nothing_but_other_weights_do() -> None:
    rows = orders().append_column("one", pa.array(np.ones(2000))).append_column("more", pa.array(np.arange(2000.0)))
    inputs = learned(orders()).meta.inputs
    assert inputs == learned(rows.drop_columns(["more"]), weight="one").meta.inputs
    same = scores_of(learned(rows.drop_columns(["more"]), weight="one"), rows)
    other = scores_of(learned(rows.drop_columns(["one"]), weight="more"), rows)
    straight = scores_of(learned(orders()), rows)
    assert same == pytest.approx(straight, abs=1e-6)
    assert np.abs(other - straight).max() > 0.01


def test_a_class_that_weighs_more_gets_higher_scores() -> None:
    rows = orders(seed=1)
    plain, heavy, even = (
        scores_of(learned(orders(), **changes), rows).mean()
        for changes in ({}, {"class_weight": {1: 5}}, {"class_weight": "balanced"})
    )
    assert heavy > plain + 0.1
    assert even == pytest.approx(0.5, abs=0.05)


def test_what_is_missing_or_never_seen_has_a_score_in_every_task() -> None:
    rows = orders(50).set_column(3, "price", pa.nulls(50, pa.float64()))
    rows = rows.set_column(rows.column_names.index("country"), "country", pa.array(["XX", None] * 25))
    for trained in (
        learned(priced(), task="regression"),
        learned(priced(), task="quantile", quantile=0.5),
        learned(graded(), task="ranking", group="basket"),
    ):
        assert np.isfinite(scores_of(trained, rows)).all()


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (priced(), {"task": "regression"}),
        (priced(), {"task": "quantile", "quantile": 0.9}),
        (graded(), {"task": "ranking", "group": "basket"}),
    ],
    ids=["regression", "quantile", "ranking"],
)
def test_the_same_rows_give_the_same_bytes_in_every_task(rows: pa.Table, changes: dict[str, Any]) -> None:
    assert learned(rows, **changes).files == learned(rows, **changes).files


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"task": "quantile"}, "`task: quantile` and `quantile`, such as 0.9, go together"),
        ({"quantile": 0.9}, "go together"),
        ({"task": "quantile", "quantile": 1.0}, "less than 1"),
        ({"task": "ranking"}, "`task: ranking` and `group`"),
        ({"group": "basket"}, "`task: ranking` and `group`"),
        ({"task": "regression", "params": {"is_unbalance": True}}, "weigh classes, and `task: regression` has none"),
    ],
)
def test_what_does_not_go_together_is_refused_while_loading(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        model(**changes)


def test_what_was_stored_before_there_were_tasks_is_a_classification_by_lightgbm() -> None:
    meta = learned(orders(300)).meta.model_dump(mode="json", exclude={"task", "trainer", "quantile"})
    assert (Meta.model_validate(meta).task, Meta.model_validate(meta).trainer) == ("classification", "lightgbm")
