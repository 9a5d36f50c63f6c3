"""model/explanation: made for each candidate, skipped while nothing changed, its pictures in MLflow."""

from pathlib import Path

import dagster as dg
import mlflow
import pytest

from headrace.explain.assets import explanation_assets
from headrace.explain.declaration import Card
from headrace.features.graph import Graph
from headrace.models.declaration import Model
from headrace.models.resources import mlflow_resources
from headrace.releases.assets import model_assets
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, gates, model, plain, shop

pytestmark = pytest.mark.slow

GRAPH = Graph({}, {}, {}, LABEL)


def run(
    site: Site, instance: dg.DagsterInstance, *names: str, declared: Model | None = None
) -> dg.ExecuteInProcessResult:
    declared = declared or model()
    assets = [
        *model_assets(site, LABEL, declared, gates(), None),
        *explanation_assets(site, GRAPH, declared, ["country"], Card()),
    ]
    return dg.materialize(
        assets,
        selection=[dg.AssetKey(["shop", "model", name]) for name in names],
        resources=mlflow_resources(site),
        instance=instance,
    )


def test_a_candidate_is_explained_once_and_again_when_another_model_is_live(tmp_path: Path) -> None:
    site = shop(tmp_path)
    with dg.DagsterInstance.ephemeral() as instance:
        first = run(site, instance, "candidate", "evaluation", "explanation", "champion")
        told = first.asset_materializations_for_node("shop__model__explanation")[0].metadata
        assert told["against"].value == "no model is live yet"
        assert {"shap", "inputs", "looked at more or less"} <= set(told)
        assert not run(site, instance, "explanation").asset_materializations_for_node("shop__model__explanation")
        runs = mlflow.MlflowClient(site.place.mlflow_uri).search_runs(
            [mlflow.MlflowClient(site.place.mlflow_uri).get_experiment_by_name("shop").experiment_id]
        )
        assert any(
            "shap.png" in artifact.path
            for found in runs
            for artifact in mlflow.MlflowClient(site.place.mlflow_uri).list_artifacts(found.info.run_id, "plots")
        )


def test_a_model_that_cannot_be_explained_here_has_a_card_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.explain.contributions.find_spec", lambda _: None)
    site = shop(tmp_path)
    (tmp_path / "label.sql").write_text("select order_id, at, returned, price from orders")
    declared = plain("sklearn:sklearn.ensemble.HistGradientBoostingClassifier")
    names = ["candidate", "evaluation", "explanation", "champion", "card"]
    with dg.DagsterInstance.ephemeral() as instance:
        done = run(site, instance, *names, declared=declared)
    told = done.asset_materializations_for_node("shop__model__explanation")[0].metadata
    assert "pip install 'headrace[explain]'" in str(told["not explained"].value)
    assert "It was not explained" in (site.place.reports / "shop.release-1.md").read_text()
