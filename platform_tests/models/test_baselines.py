"""Baselines and folds: what a candidate is put beside, on the same rows, recorded with its digest."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headrace.core.errors import DataError, NoRows
from headrace.models.declaration import Model
from headrace.store.site import Site
from platform_tests.models.shop import graded, model, orders, priced, shop, trained, trained_on


def beside(site: Site, digest: str) -> dict[str, dict[str, Any]]:
    return {found["model"]: found for found in (site.models.recorded(digest, "baselines") or {})["baselines"]}


def test_a_candidate_is_recorded_beside_the_majority_and_the_best_feature_alone(tmp_path: Path) -> None:
    site = shop(tmp_path)
    digest = trained(site)
    found = beside(site, digest)
    assert list(found) == ["candidate", "always the same", "one feature"]
    assert found["candidate"]["what"] == digest[:12]
    assert found["always the same"]["auc"] == 0.5
    assert found["one feature"]["what"] == "price"
    assert 0.7 < found["one feature"]["auc"] < found["candidate"]["auc"]
    assert found["candidate"]["log_loss"] < found["one feature"]["log_loss"] < found["always the same"]["log_loss"]


@pytest.mark.parametrize(
    ("rows", "changes", "metric"),
    [
        (priced(), {"task": "regression"}, "rmse"),
        (priced(), {"task": "quantile", "quantile": 0.9}, "pinball"),
        (graded(), {"task": "ranking", "group": "basket"}, "ndcg"),
    ],
    ids=["regression", "quantile", "ranking"],
)
def test_in_each_task_the_candidate_beats_its_baselines(
    tmp_path: Path, rows: Any, changes: dict[str, Any], metric: str
) -> None:
    site = shop(tmp_path, rows)
    found = beside(site, trained(site, model(trees=60, **changes)))
    values = [found[name][metric] for name in ("candidate", "one feature", "always the same")]
    assert found["one feature"]["what"] == "price"
    assert values == sorted(values, reverse=metric == "ndcg")


def test_the_last_model_is_put_beside_with_how_much_of_the_test_it_may_have_seen(tmp_path: Path) -> None:
    site = shop(tmp_path, orders(1000))
    first = trained(site)
    found = beside(site, trained_on(site, orders(1000), model(trees=5)))
    assert found["last model"]["what"] == first[:12]
    assert found["last model"]["note"] == ""
    assert found["last model"]["auc"] == beside(site, first)["candidate"]["auc"]
    later = beside(site, trained(site, model(trees=5, split={"test": "20d"})))
    assert later["last model"]["note"] == "it may have learned from 225 of them"


def test_a_last_model_of_another_task_or_of_other_columns_is_named_and_not_measured(tmp_path: Path) -> None:
    site = shop(tmp_path)
    trained(site)
    found = beside(site, trained_on(site, priced(), model(task="regression")))
    assert found["last model"]["note"] == "it is a classification of returned"
    found = beside(site, trained_on(site, priced().drop_columns(["noise"]), model(task="regression")))
    assert "needs columns ['noise']" in found["last model"]["note"]


def folds_of(site: Site, declared: Model) -> dict[str, Any]:
    return site.models.recorded(trained(site, declared), "folds") or {}


def test_each_fold_is_recorded_with_mean_and_spread(tmp_path: Path) -> None:
    found = folds_of(shop(tmp_path), model(split={"test": "7d", "folds": 4}))
    values = [fold["auc"] for fold in found["folds"]]
    assert [fold["learned"] for fold in found["folds"]] == [550, 900, 1250, 1600]
    assert (found["metric"], found["mean"]) == ("auc", pytest.approx(np.mean(values)))
    assert found["spread"] == pytest.approx(np.std(values, ddof=1))


def test_a_fold_is_the_candidate_that_would_have_been_trained_then(tmp_path: Path) -> None:
    rows = orders()
    found = folds_of(shop(tmp_path / "now"), model(split={"test": "10d", "folds": 2}))
    then = shop(tmp_path / "then", rows.slice(0, 1500))
    assert beside(then, trained(then))["candidate"]["auc"] == found["folds"][0]["auc"]


def test_an_older_fold_is_calibrated_as_the_candidate_of_then_was(tmp_path: Path) -> None:
    rows, split = orders(), {"test": "10d"}
    found = folds_of(shop(tmp_path / "now"), model(split={**split, "folds": 2}, calibrate="platt"))
    then, declared = shop(tmp_path / "then", rows.slice(0, 1500)), model(split=split, calibrate="platt")
    assert beside(then, trained(then, declared))["candidate"]["log_loss"] == found["folds"][0]["log_loss"]


def test_a_fold_with_too_few_rows_to_calibrate_on_is_refused_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Fold 1 of 2: \d+ rows are too few to calibrate"):
        trained(shop(tmp_path, orders(700)), model(split={"test": "10d", "folds": 2}, calibrate="platt"))


def test_one_fold_has_no_spread(tmp_path: Path) -> None:
    found = folds_of(shop(tmp_path), model())
    assert (len(found["folds"]), found["spread"]) == (1, None)


def test_folds_change_nothing_about_the_model(tmp_path: Path) -> None:
    site = shop(tmp_path)
    assert trained(site) == trained(site, model(split={"test": "10d", "folds": 2}))


def test_folds_that_history_does_not_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRows, match="Fold 1 of 9"):
        trained(shop(tmp_path), model(split={"test": "10d", "folds": 9}))
