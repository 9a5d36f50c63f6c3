"""Judgement: what is recorded of a candidate of each task, on which rows, and against whom."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.core.errors import DeclarationError
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
