"""MLflow as a mirror: runs, models and the champion's alias can be looked up, and nothing is there twice."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

from headrace.core.place import Place
from headrace.store import runs
from headrace.store.story import End

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


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place.at(tmp_path_factory.mktemp("project"))
    runs.prepare(made.mlflow_uri, "shop", made.home / "mlflow/shop")
    return made


@pytest.fixture
def client(place: Place) -> Iterator[mlflow.MlflowClient]:
    mlflow.set_tracking_uri(place.mlflow_uri)
    mlflow.set_experiment("shop")
    mlflow.start_run()
    yield mlflow.MlflowClient()
    mlflow.end_run()


def register(client: mlflow.MlflowClient, digest: str) -> str:
    if not client.search_registered_models("name = 'shop'"):
        client.create_registered_model("shop")
    return str(client.create_model_version("shop", "nowhere", tags={"headrace.digest": digest}).version)


def test_preparing_again_changes_nothing(place: Place, client: mlflow.MlflowClient) -> None:
    before = client.get_experiment_by_name("shop")
    runs.prepare(place.mlflow_uri, "shop", place.home / "elsewhere")
    assert client.get_experiment_by_name("shop").artifact_location == before.artifact_location


def test_the_alias_follows_the_release_log_back_and_forth_and_versions_say_as_which_release_they_are_live(
    place: Place, client: mlflow.MlflowClient
) -> None:
    versions = {digest: register(client, digest) for digest in ("b" * 64, "c" * 64)}
    for release, digest in enumerate(("b" * 64, "c" * 64, "b" * 64), start=1):
        assert runs.mirror_champion(place.mlflow_uri, "shop", digest, HEAD, release) == versions[digest]
        assert client.get_model_version("shop", versions[digest]).tags["headrace.release"] == str(release)
        assert client.get_model_version_by_alias("shop", "champion").version == int(versions[digest])
        assert runs.told_head(place.mlflow_uri, "shop") == HEAD


def test_a_model_that_was_never_registered_leaves_the_alias(place: Place, client: mlflow.MlflowClient) -> None:
    register(client, "d" * 64)
    runs.mirror_champion(place.mlflow_uri, "shop", "d" * 64, HEAD, 1)
    assert runs.mirror_champion(place.mlflow_uri, "shop", "e" * 64, HEAD, 2) is None
    version = client.get_model_version_by_alias("shop", "champion")
    assert version.tags["headrace.digest"] == "d" * 64


@pytest.mark.parametrize("end", ["FAILED", "FINISHED"])
def test_a_run_ends_with_the_status_that_is_true(client: mlflow.MlflowClient, end: End) -> None:
    run = mlflow.active_run()
    assert run is not None
    runs.finish(end)
    assert client.get_run(run.info.run_id).info.status == end


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


@pytest.mark.parametrize(("declared", "wait_s"), [(None, 5), ("30", 30)])
def test_a_server_is_waited_for_seconds_unless_the_environment_says_otherwise(
    place: Place, monkeypatch: pytest.MonkeyPatch, declared: str | None, wait_s: int
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    if declared:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", declared)
    runs.mirror_champion(place.mlflow_uri, "shop", "f" * 64, HEAD, 1)
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
