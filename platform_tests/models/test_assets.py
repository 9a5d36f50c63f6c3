"""A model's way as assets: real runs, real MLflow, and a release that no other way leads around."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import mlflow
import mlflow.lightgbm
import pyarrow as pa
import pytest

from headrace.core.place import Place
from headrace.evaluation.assets import GATES
from headrace.evaluation.declaration import Gate
from headrace.features.declaration import Label
from headrace.models.candidate import the_candidate
from headrace.models.declaration import Model
from headrace.models.encode import encode
from headrace.models.meta import load_meta, load_training_run
from headrace.models.origin import origin_of
from headrace.models.predict import load_predictor, score_rows
from headrace.models.resources import mlflow_resources
from headrace.releases.assets import FRESHNESS, RELEASED, model_assets
from headrace.store.evaluations import recorded
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, gates, model, orders, plain, relabelled, shop, trained
from platform_tests.models.test_own import STEPS, TRAIN

pytestmark = pytest.mark.slow

KEYS = {name: dg.AssetKey(["shop", "model", name]) for name in ("candidate", "evaluation", "champion")}


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store with its tables made, which takes seconds."""
    place = Place.at(tmp_path_factory.mktemp("mlflow"))
    place.home.mkdir()
    mlflow.MlflowClient(place.mlflow_uri).search_experiments()
    return place.home / "mlflow.db"


@pytest.fixture
def site(tmp_path: Path, empty_mlflow: Path) -> Iterator[Site]:
    (tmp_path / ".headrace").mkdir()
    shutil.copy(empty_mlflow, tmp_path / ".headrace/mlflow.db")
    yield shop(tmp_path)
    assert mlflow.active_run() is None


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Way:
    """The model assets of a site, to be materialized in part or as a whole."""

    def __init__(self, site: Site, instance: dg.DagsterInstance, declared: Model | None = None) -> None:
        self.site, self.instance, self.model = site, instance, declared or model()
        self.gates: list[Gate] = gates()
        self.freshness: timedelta | None = None

    def run(self, *names: str, tags: dict[str, str] | None = None) -> dg.ExecuteInProcessResult:
        assets = model_assets(self.site, LABEL, self.model, self.gates, self.freshness)
        return dg.materialize(
            assets,
            selection=[KEYS[name] for name in names or KEYS],
            resources=mlflow_resources(self.site),
            instance=self.instance,
            tags=tags,
            raise_on_error=False,
        )


@pytest.fixture
def way(site: Site, instance: dg.DagsterInstance) -> Way:
    return Way(site, instance)


def metadata(result: dg.ExecuteInProcessResult, name: str) -> dict[str, Any]:
    made = result.asset_materializations_for_node(f"shop__model__{name}")[0]
    return {key: value.value for key, value in made.metadata.items()}


def table(result: dg.ExecuteInProcessResult, key: str) -> list[Any]:
    shown = result.asset_materializations_for_node("shop__model__candidate")[0].metadata[key]
    assert isinstance(shown, dg.TableMetadataValue)
    return [record.data for record in shown.records]


def check(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    return next(found for found in result.get_asset_check_evaluations() if found.check_name == name)


def failure(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    step = result.get_failed_step_keys().pop()
    data = result.failure_data_for_node(step)
    assert data is not None
    assert data.user_failure_data is not None
    return str(data.user_failure_data.description)


def registry(site: Site) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(site.place.mlflow_uri)


def mlflow_runs(site: Site) -> list[Any]:
    client = registry(site)
    experiment = client.get_experiment_by_name("shop")
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def test_a_good_candidate_goes_the_whole_way(way: Way) -> None:
    result = way.run(tags={"headrace/reason": "drift: PSI of price is 0.4, limit 0.25"})
    assert result.success
    live = way.site.releases.live("shop")
    assert live is not None
    assert "PSI of price is 0.4" in live.why
    assert metadata(result, "candidate")["reason"] == "drift: PSI of price is 0.4, limit 0.25"
    assert metadata(result, "candidate")["training set version"] == 0
    assert metadata(result, "champion")["live model"] == metadata(result, "candidate")["model"] == live.model
    assert check(result, GATES).passed
    assert check(result, RELEASED).passed


def test_a_model_knows_which_run_has_trained_it_and_mlflow_knows_that_run(way: Way) -> None:
    result = way.run("candidate")
    digest = the_candidate(way.site).digest
    assert load_training_run(way.site.models, digest, "shop") == result.run_id
    [told] = mlflow_runs(way.site)
    assert told.data.tags["dagster_run_id"] == result.run_id


def test_mlflow_holds_params_metrics_pictures_model_and_where_it_came_from(way: Way) -> None:
    way.run()
    [run] = mlflow_runs(way.site)
    live = way.site.releases.live("shop")
    assert live is not None
    assert run.info.status == "FINISHED"
    assert run.data.params["num_leaves"] == "7"
    assert run.data.metrics["auc"] == pytest.approx(live.evidence["auc"])
    assert run.data.tags["training_set"] == "shop/training/set@0"
    assert run.data.tags["reason"] == "started by hand"
    pictures = {file.path for file in registry(way.site).list_artifacts(run.info.run_id, "plots")}
    names = ("importance", "roc", "precision_recall", "gains", "calibration")
    assert pictures == {f"plots/{name}.png" for name in names}
    version = registry(way.site).get_model_version_by_alias("shop", "champion")
    assert version.tags["headrace.digest"] == live.model


def test_all_files_of_mlflow_lie_in_the_projects_home(way: Way) -> None:
    way.run()
    [run] = mlflow_runs(way.site)
    assert run.info.artifact_uri.startswith(way.site.place.home.as_uri())


def test_the_registered_model_scores_like_the_one_that_is_live(way: Way) -> None:
    way.run()
    live = way.site.releases.live("shop")
    assert live is not None
    predictor = load_predictor(way.site.models, live.model)
    mlflow.set_tracking_uri(way.site.place.mlflow_uri)
    copy = mlflow.lightgbm.load_model("models:/shop@champion")
    rows = orders(50)
    assert (copy.predict(encode(rows, predictor.inputs).to_pandas()) == score_rows(rows, predictor)).all()


def test_a_refused_candidate_leaves_the_champion_and_says_why(way: Way) -> None:
    champion = metadata(way.run(), "champion")["live model"]
    way.model = model(params={"min_gain_to_split": 1e9})
    result = way.run()
    assert result.success
    assert metadata(result, "champion")["live model"] == champion
    assert metadata(result, "champion")["decision"] == "refused"
    assert not check(result, GATES).passed
    assert not check(result, RELEASED).passed
    assert "auc >= 0.6 (0.5000 is not >= 0.6000)" in str(check(result, RELEASED).description)
    alias = registry(way.site).get_model_version_by_alias("shop", "champion")
    assert alias.tags["headrace.digest"] == champion


def test_a_refused_first_candidate_fails_the_step_for_nothing_is_live(way: Way) -> None:
    way.gates = gates("auc >= 0.999")
    assert "Nothing is live: started by hand; refused by auc >= 0.999" in failure(way.run())
    assert way.site.releases.live("shop") is None


def test_the_candidate_shows_its_baselines_and_folds(way: Way) -> None:
    way.model = model(split={"test": "7d", "folds": 3})
    result = way.run("candidate")
    shown = metadata(result, "candidate")
    assert [found["model"] for found in table(result, "baselines")] == ["candidate", "always the same", "one feature"]
    folds = [found["auc"] for found in table(result, "folds")]
    assert len(folds) == 3
    assert shown["mean auc of folds"] == pytest.approx(sum(folds) / 3)
    assert 0 < shown["spread auc of folds"] < 0.1


def test_a_split_by_group_goes_the_whole_way_and_duels_on_the_groups_that_both_held_out(way: Way) -> None:
    rows = orders(4000).append_column("customer", pa.array([f"c{i * 7919 % 400}" for i in range(4000)]))
    way.site.tables.replace("shop/training/set", rows)
    way.model = model(split={"by": "group", "column": "customer", "test": "30%"}, ignore=["customer"])
    first = metadata(way.run(), "champion")["live model"]
    way.model = model(split={"by": "group", "column": "customer", "test": "30%"}, ignore=["customer"], trees=40)
    assert way.run("candidate", "evaluation").success
    judged = recorded(way.site, the_candidate(way.site).digest) or {}
    assert judged["champion"] == first
    assert judged["duel"]["candidate"]["overall"]["rows"] == judged["evaluation"]["overall"]["rows"] > 1000


def test_a_search_for_parameters_is_shown_costed_and_judged(way: Way) -> None:
    tune = {"trials": 6, "num_leaves": [7, 31], "learning_rate": [0.1, 0.3]}
    way.model = model(params={"num_leaves": 2, "learning_rate": 0.01}, tune=tune)
    result = way.run()
    assert result.success
    shown, found = metadata(result, "candidate"), load_meta(way.site.models, the_candidate(way.site).digest).params
    assert shown["tuning"].startswith("6 trials")
    assert len(table(result, "trials")) == 6
    for picture in ("tuning history", "tuning importance"):
        assert shown[picture].startswith("![plot](data:image/png;base64,")
    assert metadata(result, "evaluation")["tuning"].startswith("Tuning was worth it: auc")
    runs = mlflow_runs(way.site)
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    trials = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(trials) == 6
    assert parent.data.params["num_leaves"] == str(found["num_leaves"])
    assert {"plots/tuning_history.png", "plots/tuning_importance.png"} <= {
        file.path for file in registry(way.site).list_artifacts(parent.info.run_id, "plots")
    }
    cost = (origin_of(way.site, the_candidate(way.site).digest) or {})["cost"]["tuning"]
    assert (cost["trials"], cost["resumed"], cost["rows"]) == (6, 0, shown["rows"])
    assert cost["seconds"] > 0
    assert way.run("candidate", "evaluation").success
    assert len(mlflow_runs(way.site)) == 7


@pytest.mark.parametrize(
    ("trainer", "file"),
    [
        ("xgboost", "model.ubj"),
        ("sklearn:platform_tests.models.pipelines.filled", "model.skops"),
        ("train.py:fit", "model.bin"),
    ],
)
def test_a_model_of_another_trainer_goes_the_whole_way_and_mlflow_holds_its_file(
    way: Way, trainer: str, file: str
) -> None:
    (way.site.folder / "train.py").write_text(TRAIN)
    (way.site.folder / "steps.py").write_text(STEPS)
    way.model = plain(trainer)
    result = way.run()
    assert result.success
    live = way.site.releases.live("shop")
    assert live is not None
    version = registry(way.site).get_model_version_by_alias("shop", "champion")
    assert version.tags["headrace.digest"] == live.model
    [run] = mlflow_runs(way.site)
    assert run.data.params["trainer"] == trainer
    names = {Path(found.path).name for found in registry(way.site).list_artifacts(run.info.run_id, "model/headrace")}
    assert {"meta.json", file} <= names
    assert not way.run().get_failed_step_keys()


def test_a_champion_alone_without_any_candidate_is_refused(way: Way) -> None:
    assert "There is no candidate: materialize model/candidate first" in failure(way.run("champion"))


def test_a_champion_alone_with_a_candidate_that_nobody_judged_is_refused(way: Way) -> None:
    assert way.run("candidate").success
    assert "was never evaluated" in failure(way.run("champion"))
    assert way.site.releases.all("shop") == []


def test_a_champion_alone_releases_a_candidate_that_was_judged(way: Way) -> None:
    assert way.run("candidate", "evaluation").success
    assert way.run("champion").success
    assert way.site.releases.live("shop") is not None


def test_an_evaluation_is_about_the_rows_that_its_candidate_was_split_from(way: Way) -> None:
    assert way.run("candidate").success
    way.site.tables.replace("shop/training/set", orders(4000, seed=1))
    assert metadata(way.run("evaluation"), "evaluation")["rows"] == 500


def test_training_again_on_the_same_rows_gives_the_same_version_and_keeps_what_is_downstream_fresh(way: Way) -> None:
    first, second = way.run(), way.run(tags={"headrace/force": "true"})
    assert metadata(first, "candidate")["mlflow version"] == metadata(second, "candidate")["mlflow version"]
    assert len(way.site.releases.all("shop")) == 1
    assert _versions(first) == _versions(second)


def test_training_again_on_the_same_rows_is_skipped_and_the_gates_still_say_what_they_said(way: Way) -> None:
    first, second = way.run(), way.run()
    assert second.success
    made = [event.asset_key.path[-1] for event in second.get_asset_materialization_events() if event.asset_key]
    assert made == ["champion"]
    assert {
        e.asset_observation_data.asset_observation.asset_key.path[-1] for e in second.get_asset_observation_events()
    } == {
        "candidate",
        "evaluation",
    }
    assert check(second, "gates").passed == check(first, "gates").passed
    assert way.site.releases.all("shop") == way.site.releases.all("shop")[:1]


def _versions(result: dg.ExecuteInProcessResult) -> list[str]:
    nodes = [f"shop__model__{name}" for name in ("candidate", "champion")]
    return [result.asset_materializations_for_node(node)[0].tags["dagster/data_version"] for node in nodes]


def test_a_failed_run_is_failed_in_mlflow_too(way: Way) -> None:
    way.site.tables.replace("shop/training/set", relabelled(orders(), [0] * 2000))
    assert "nothing can be learned" in failure(way.run())
    assert [run.info.status for run in mlflow_runs(way.site)] == ["FAILED"]


def test_two_products_keep_their_runs_apart(way: Way, site: Site) -> None:
    way.run()
    assert set(mlflow_resources(site)) == {"mlflow__shop"}
    assert registry(site).get_experiment_by_name("shop") is not None


@pytest.mark.parametrize(("days", "fresh"), [(29, True), (31, False)])
def test_the_live_model_is_fresh_while_the_newest_label_it_was_judged_on_is_young(
    tmp_path: Path, instance: dg.DagsterInstance, empty_mlflow: Path, days: int, fresh: bool
) -> None:
    (tmp_path / ".headrace").mkdir()
    shutil.copy(empty_mlflow, tmp_path / ".headrace/mlflow.db")
    (tmp_path / "landing").mkdir()
    now = datetime(2024, 4, 10, tzinfo=UTC) - timedelta(minutes=30) + timedelta(days=days)
    (tmp_path / "landing/.replay_clock").write_text(now.isoformat())
    way = Way(shop(tmp_path, clock="replay"), instance)
    way.freshness = timedelta(days=30)
    found = check(way.run(), FRESHNESS)
    assert found.passed is fresh
    assert found.metadata["limit"].value == 30.0
    assert found.metadata["value"].value == pytest.approx(days, abs=0.1)
    assert "the live model was judged on labels to 2024-04-09" in str(found.metadata["what"].value)


def test_freshness_can_be_asked_alone(way: Way) -> None:
    way.freshness = timedelta(days=30)
    assets = model_assets(way.site, LABEL, way.model, way.gates, way.freshness)
    key = dg.AssetCheckKey(KEYS["champion"], FRESHNESS)
    result = dg.materialize(
        assets,
        selection=dg.AssetSelection.checks(key),
        resources=mlflow_resources(way.site),
        instance=way.instance,
    )
    assert str(check(result, FRESHNESS).metadata["what"].value) == "no model is live yet"


def test_an_edited_model_is_refused_in_words(way: Way) -> None:
    digest = trained(way.site)
    path = way.site.place.models / digest / "model.txt"
    path.write_bytes(path.read_bytes() + b" ")
    assert "it was edited or damaged" in failure(way.run("evaluation"))


def test_changed_parameters_make_the_candidate_stale_and_changed_gates_the_evaluation(site: Site) -> None:
    def versions(declared: Model, *texts: str, label: Label = LABEL) -> list[str | None]:
        assets = model_assets(site, label, declared, gates(*texts), None)
        return [next(iter(asset.specs)).code_version for asset in assets]

    base = versions(model())
    assert [a == b for a, b in zip(base, versions(model(trees=21)), strict=True)] == [False, True, True]
    assert [a == b for a, b in zip(base, versions(model(), "auc >= 0.9"), strict=True)] == [True, False, False]
    later = LABEL.model_copy(update={"known_after": timedelta(days=2)})
    assert [a == b for a, b in zip(base, versions(model(), label=later), strict=True)] == [False, False, True]
