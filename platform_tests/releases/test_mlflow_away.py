"""MLflow on a server that is away: everything goes on, nobody waits for minutes, and it is told once it is back, once."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import mlflow
import pytest
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT

from headrace.core.place import Place
from headrace.core.ports import free_port, listens
from headrace.releases.assets import MIRRORED, RELEASED
from headrace.releases.guard import guard
from headrace.store.site import Site
from platform_tests.end_to_end.test_crash import state, wait_for
from platform_tests.models.shop import orders, relabelled, shop
from platform_tests.models.test_assets import Way, check, empty_mlflow, failure, instance, metadata
from platform_tests.waiting import eventually

__all__ = ["empty_mlflow", "instance"]  # fixtures
DEADLINE_S = 120
TRAIN = """
import sys
from pathlib import Path
import dagster as dg
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.store.site import Site
from platform_tests.models.test_assets import Way
folder = Path(sys.argv[1])
with dg.DagsterInstance.ephemeral() as instance:
    result = Way(Site(Identity(product="shop"), folder, Place.at(folder, mlflow_server=sys.argv[2])), instance).run()
print(result.run_id)
sys.exit(not result.success)
"""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for a server that is there, on a machine that may be busy."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


def site_with(folder: Path, address: str) -> Site:
    site = shop(folder)
    return Site(site.product, site.folder, Place.at(folder, mlflow_server=address))


@contextmanager
def mlflow_server(folder: Path, port: int, store: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Run a real MLflow server over a store, by default that in the folder, in a process group of its own."""
    store = store or f"sqlite:///{folder / 'mlflow.db'}"
    options = ["--backend-store-uri", store, "--artifacts-destination", str(folder)]
    command = [sys.executable, "-m", "mlflow", "server", *options, "--port", str(port), "--workers", "1"]
    # Its jobs are eight more processes, for nothing that is tested here.
    plain = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(
        command, env=plain, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        try:
            assert eventually(lambda: listens(port), DEADLINE_S), "MLflow's server does not listen"
            yield server
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def alias(site: Site) -> list[str]:
    """Return the digest of the model that the alias stands at, if any, as the server says."""
    versions = mlflow.MlflowClient(site.place.mlflow_uri).search_model_versions("name = 'shop'")
    whole = [mlflow.MlflowClient(site.place.mlflow_uri).get_model_version("shop", v.version) for v in versions]
    return [version.tags["headrace.digest"] for version in whole if "champion" in version.aliases]


@pytest.mark.slow
def test_a_training_whose_mlflow_accepts_and_never_answers_goes_on_and_waits_for_a_few_requests(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = site_with(tmp_path, f"http://me:hunter2@127.0.0.1:{silent.getsockname()[1]}")
        result = Way(site, instance).run("candidate")
        silent.setblocking(False)
        asked = sum(1 for _ in accepted(silent))
    assert result.success
    words = metadata(result, "candidate")["mlflow version"]
    assert words.startswith("not told yet: MLflow at http://127.0.0.1:")
    assert "did not do what it was asked" in words
    assert "hunter2" not in words
    assert asked == 3, "asked before the training, after it and at the end, once each"
    assert MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 5
    assert parts(site) == ["candidate", "end"]


def parts(site: Site) -> list[str]:
    return [site.spool.read(path).part for path in site.spool.waiting()]


def accepted(server: socket.socket) -> Iterator[None]:
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return
        yield


def test_a_failed_training_whose_mlflow_is_not_there_is_told_as_failed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = site_with(tmp_path, f"http://127.0.0.1:{free_port()}")
    site.tables.replace("shop/training/set", relabelled(orders(), [0] * 2000))
    assert "nothing can be learned" in failure(Way(site, instance).run())
    assert [site.spool.read(path).end for path in site.spool.waiting()] == ["FAILED"]


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_a_training_whose_mlflow_is_not_there_goes_the_whole_way_and_the_guard_tells_all_of_it_once(
    tmp_path: Path, instance: dg.DagsterInstance, empty_mlflow: Path
) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    port = free_port()
    site = site_with(tmp_path / "project", f"http://127.0.0.1:{port}")
    result = Way(site, instance).run()
    live = site.releases.live("shop")
    assert result.success
    assert live
    assert check(result, RELEASED).passed
    assert not check(result, MIRRORED).passed
    assert parts(site) == ["candidate", "evaluation"]
    assert [trouble.what for trouble in guard(site)] == ["MLflow could not be asked"]
    assert parts(site) == ["candidate", "evaluation"]
    with mlflow_server(tmp_path, port):
        assert guard(site) == []
        is_told_once(site, live.model, [result.run_id])
        assert guard(site) == []
        is_told_once(site, live.model, [result.run_id])


def is_told_once(site: Site, digest: str, dagster_runs: list[str]) -> None:
    """Assert that the server knows each training, each of its metrics and the model once, and that the alias stands."""
    client = mlflow.MlflowClient(site.place.mlflow_uri)
    found = client.search_runs([client.get_experiment_by_name("shop").experiment_id], order_by=["start_time ASC"])
    assert [run.data.tags["dagster_run_id"] for run in found] == dagster_runs
    judged = found[-1]
    assert judged.info.status == "FINISHED"
    assert {"auc", "lift"} <= set(judged.data.metrics)
    assert {len(client.get_metric_history(judged.info.run_id, key)) for key in judged.data.metrics} == {1}
    assert {file.path for file in client.list_artifacts(judged.info.run_id, "plots")} >= {"plots/roc.png"}
    assert len(judged.inputs.dataset_inputs) == 2
    assert [version.tags["headrace.digest"] for version in client.search_model_versions("name = 'shop'")] == [digest]
    assert alias(site) == [digest]
    assert parts(site) == []


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("away", [signal.SIGSTOP, signal.SIGKILL], ids=["it never answers", "its port is closed"])
@pytest.mark.parametrize(
    "point", ["story_measured", "model_begun", "story_spooled:2"], ids=["params", "the model", "before the evaluation"]
)
def test_an_mlflow_that_goes_away_in_mid_training_is_told_by_the_next_training_all_of_it_once(
    tmp_path: Path, instance: dg.DagsterInstance, empty_mlflow: Path, point: str, away: signal.Signals
) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    port = free_port()
    site = site_with(tmp_path / "project", f"http://127.0.0.1:{port}")
    stopping = {**os.environ, "FAILPOINT": point, "FAILPOINT_ACTION": "stop", "PYTHONPATH": os.pathsep.join(sys.path)}
    # A machine that is busy answers late, too: it must not count as away before the server is.
    stopping["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "10" if away == signal.SIGSTOP else "60"
    with mlflow_server(tmp_path, port) as server:
        command = [sys.executable, "-c", TRAIN, str(site.folder), site.place.mlflow_uri]
        with subprocess.Popen(command, env=stopping, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as training:
            wait_for(lambda: state(training.pid) == "T", "the training to stop where it is told to", DEADLINE_S)
            os.killpg(server.pid, away)
            training.send_signal(signal.SIGCONT)
            said = training.communicate(timeout=DEADLINE_S)[0].decode().split()
        live = site.releases.live("shop")
        assert training.returncode == 0
        assert live
        assert "evaluation" in parts(site)
        if away == signal.SIGSTOP:
            os.killpg(server.pid, signal.SIGCONT)
            comes_back(site, instance, said[-1])
    if away == signal.SIGKILL:
        with mlflow_server(tmp_path, port):
            comes_back(site, instance, said[-1])


def comes_back(site: Site, instance: dg.DagsterInstance, first: str) -> None:
    """Train again, and assert that the server knows both trainings, as if it had never been away."""
    live = site.releases.live("shop")
    assert live
    again = Way(site, instance).run(tags={"headrace/force": "true"})
    assert again.success
    is_told_once(site, live.model, [first, again.run_id])


@pytest.mark.slow
@pytest.mark.parametrize("away", [signal.SIGSTOP, signal.SIGKILL], ids=["it never answers", "its port is closed"])
def test_a_release_stands_while_its_mirror_is_away_and_the_next_run_catches_up_once(
    tmp_path: Path, instance: dg.DagsterInstance, empty_mlflow: Path, away: signal.Signals
) -> None:
    shutil.copy(empty_mlflow, tmp_path / "mlflow.db")
    port = free_port()
    site = site_with(tmp_path / "project", f"http://127.0.0.1:{port}")
    way = Way(site, instance)
    with mlflow_server(tmp_path, port) as server:
        assert way.run("candidate", "evaluation").success
        os.killpg(server.pid, away)
        result = way.run("champion")
        live = site.releases.live("shop")
        assert result.success
        assert live
        assert metadata(result, "champion")["live model"] == live.model
        assert check(result, RELEASED).passed
        assert not check(result, MIRRORED).passed
        assert "Release 1 is live. MLflow's alias does not say so yet" in str(check(result, MIRRORED).description)
        if away == signal.SIGSTOP:
            os.killpg(server.pid, signal.SIGCONT)
            caught_up(way)
    if away == signal.SIGKILL:
        with mlflow_server(tmp_path, port):
            caught_up(way)


def caught_up(way: Way) -> None:
    live = way.site.releases.live("shop")
    assert live
    assert alias(way.site) == []
    assert "version 1, release 1" in str(check(way.run("champion"), MIRRORED).description)
    assert alias(way.site) == [live.model]
    mlflow.MlflowClient().delete_registered_model_alias("shop", "champion")
    assert "was set for release 1" in str(check(way.run("champion"), MIRRORED).description)
    assert alias(way.site) == [], "what was mirrored is not mirrored again"
    assert len(way.site.releases.all("shop")) == 1
