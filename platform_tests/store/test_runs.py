"""MLflow as a mirror: runs, models and the champion's alias can be looked up, and nothing is there twice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import pytest
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

from headrace.core.place import Place
from headrace.models.train import train_model
from headrace.store import runs
from headrace.store.mirrored import End, LoggedTrial
from platform_tests.models.shop import LABEL, model, orders, silent

PREPARE = """
import sys
from pathlib import Path
from headrace.core.place import Place
from headrace.models.train import train_model
from headrace.store import runs
place = Place.at(Path(sys.argv[1]))
runs.prepare(place.mlflow_uri, sys.argv[2], place.home / "mlflow" / sys.argv[2])
"""

HEAD = (1, "0" * 64)
BEGUN = datetime(2024, 3, 1, tzinfo=UTC)
ENDED = BEGUN + timedelta(seconds=5)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place.at(tmp_path_factory.mktemp("project"))
    runs.prepare(made.mlflow_uri, "shop", made.home / "mlflow/shop")
    return made


@pytest.fixture(scope="module")
def text() -> bytes:
    return train_model(orders(300), LABEL, model(trees=3), silent).fitted.to_bytes()


@pytest.fixture
def client(place: Place) -> Iterator[mlflow.MlflowClient]:
    mlflow.set_tracking_uri(place.mlflow_uri)
    mlflow.set_experiment("shop")
    mlflow.start_run()
    yield mlflow.MlflowClient()
    mlflow.end_run()


def log(digest: str, text: bytes) -> str:
    return runs.log_model("shop", digest, ("model.txt", text), ["price", "country", "gift", "noise"], {"trees": 3})


def test_preparing_again_changes_nothing(place: Place, client: mlflow.MlflowClient) -> None:
    before = client.get_experiment_by_name("shop")
    runs.prepare(place.mlflow_uri, "shop", place.home / "elsewhere")
    assert client.get_experiment_by_name("shop").artifact_location == before.artifact_location


def test_a_model_is_registered_once_under_its_digest(client: mlflow.MlflowClient, text: bytes) -> None:
    version = log("a" * 64, text)
    assert log("a" * 64, text) == version
    assert client.get_model_version("shop", version).tags == {"headrace.digest": "a" * 64}


def test_the_alias_follows_the_release_log_back_and_forth(
    place: Place, client: mlflow.MlflowClient, text: bytes
) -> None:
    versions = {digest: log(digest, text) for digest in ("b" * 64, "c" * 64)}
    for digest in ("b" * 64, "c" * 64, "b" * 64):
        assert runs.mirror_champion(place.mlflow_uri, "shop", digest, HEAD) == versions[digest]
        assert client.get_model_version_by_alias("shop", "champion").version == int(versions[digest])
        assert runs.told_head(place.mlflow_uri, "shop") == HEAD


def test_a_model_that_was_never_registered_leaves_the_alias(
    place: Place, client: mlflow.MlflowClient, text: bytes
) -> None:
    log("d" * 64, text)
    runs.mirror_champion(place.mlflow_uri, "shop", "d" * 64, HEAD)
    assert runs.mirror_champion(place.mlflow_uri, "shop", "e" * 64, HEAD) is None
    version = client.get_model_version_by_alias("shop", "champion")
    assert version.tags["headrace.digest"] == "d" * 64


def test_metrics_tags_and_pictures_reach_the_run(client: mlflow.MlflowClient) -> None:
    runs.log_evaluation({"auc": 0.75}, {"roc.png": b"png"}, {"reason": "a test"})
    run = mlflow.active_run()
    assert run is not None
    found = client.get_run(run.info.run_id)
    assert (found.data.metrics, found.data.tags["reason"]) == ({"auc": 0.75}, "a test")
    assert [file.path for file in client.list_artifacts(run.info.run_id, "plots")] == ["plots/roc.png"]


@pytest.mark.parametrize(("failed", "status"), [(True, "FAILED"), (False, "FINISHED")])
def test_a_run_ends_with_the_status_that_is_true(client: mlflow.MlflowClient, failed: bool, status: str) -> None:
    run = mlflow.active_run()
    assert run is not None
    runs.finish(failed=failed)
    assert client.get_run(run.info.run_id).info.status == status


def test_runs_of_killed_processes_are_ended_and_those_at_work_are_left(
    place: Place, client: mlflow.MlflowClient
) -> None:
    experiment = client.get_experiment_by_name("shop").experiment_id
    ends: dict[str, End | None] = {"dead": "KILLED", "broken": "FAILED", "alive": None}
    begun = {
        name: client.create_run(experiment, tags={runs.DAGSTER_TAG: name}).info.run_id for name in [*ends, "foreign"]
    }
    runs.end_lost("shop", ends.get)
    found = {name: client.get_run(run_id).info.status for name, run_id in begun.items()}
    assert found == {"dead": "KILLED", "broken": "FAILED", "alive": "RUNNING", "foreign": "RUNNING"}


def logged(name: str, end: End) -> LoggedTrial:
    return LoggedTrial(
        name,
        {"num_leaves": 7},
        [("auc_of_fold", 0, 0.7), ("auc_of_fold", 1, 0.8)],
        BEGUN,
        ENDED,
        end,
        {"state": "judged"},
    )


def test_each_trial_is_a_run_within_the_training_with_its_own_times_and_end(client: mlflow.MlflowClient) -> None:
    parent = mlflow.active_run()
    assert parent is not None
    runs.log_trials([logged("trial 0", "FINISHED"), logged("trial 1", "KILLED")])
    within = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found = client.search_runs([parent.info.experiment_id], within, order_by=["tags.`mlflow.runName`"])
    assert [(run.info.run_name, run.info.status) for run in found] == [("trial 0", "FINISHED"), ("trial 1", "KILLED")]
    assert (found[0].data.params, found[0].data.metrics) == ({"num_leaves": "7"}, {"auc_of_fold": 0.8})
    assert [metric.step for metric in client.get_metric_history(found[0].info.run_id, "auc_of_fold")] == [0, 1]
    assert found[0].info.end_time - found[0].info.start_time == 5000


def test_a_trial_whose_logging_was_killed_ends_as_its_training_did(place: Place, client: mlflow.MlflowClient) -> None:
    experiment = client.get_experiment_by_name("shop").experiment_id
    parent = client.create_run(experiment, tags={runs.DAGSTER_TAG: "gone"}).info.run_id
    trial = client.create_run(experiment, tags={runs.PARENT_TAG: parent}).info.run_id
    ends: dict[str, End | None] = {"gone": "KILLED"}
    runs.end_lost("shop", ends.get)
    assert [client.get_run(run).info.status for run in (parent, trial)] == ["KILLED", "KILLED"]


@pytest.mark.parametrize(("declared", "wait_s"), [(None, 2), ("30", 30)])
def test_a_server_is_waited_for_seconds_unless_the_environment_says_otherwise(
    place: Place, monkeypatch: pytest.MonkeyPatch, declared: str | None, wait_s: int
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    if declared:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", declared)
    runs.mirror_champion(place.mlflow_uri, "shop", "f" * 64, HEAD)
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == wait_s


@pytest.mark.slow
def test_several_processes_may_start_on_a_fresh_home(tmp_path: Path) -> None:
    starts = [
        subprocess.Popen(
            [sys.executable, "-c", PREPARE, str(tmp_path), product], env=dict(os.environ), stderr=subprocess.PIPE
        )
        for product in ("shop", "shop", "ferry")
    ]
    words = [start.communicate(timeout=120)[1].decode() for start in starts]
    assert [start.returncode for start in starts] == [0, 0, 0], words
    found = mlflow.MlflowClient(Place.at(tmp_path).mlflow_uri).search_experiments()
    assert {experiment.name for experiment in found} >= {"shop", "ferry"}
