"""MLflow on a server that is away: what it mirrors goes on, what needs it ends in words, and nobody waits for minutes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import mlflow
import pytest

from headrace.core.place import Place
from headrace.releases.assets import MIRRORED, RELEASED
from headrace.store.site import Site
from platform_tests.models.shop import shop
from platform_tests.models.test_assets import Way, check, empty_mlflow, failure, instance, metadata

__all__ = ["empty_mlflow", "instance"]  # fixtures
DEADLINE_S = 120


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def site_with(folder: Path, address: str) -> Site:
    site = shop(folder)
    return Site(site.product, site.folder, Place.at(folder, mlflow_server=address))


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a real MLflow server over the store in a folder, in a process group of its own."""
    options = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--artifacts-destination", str(folder)]
    command = [sys.executable, "-m", "mlflow", "server", *options, "--port", str(port), "--workers", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        try:
            wait_until_it_answers(port)
            yield server
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGKILL)


def wait_until_it_answers(port: int) -> None:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("MLflow's server does not listen")


def alias(site: Site) -> list[str]:
    """Return the digest of the model that the alias stands at, if any, as the server says."""
    versions = mlflow.MlflowClient(site.place.mlflow_uri).search_model_versions("name = 'shop'")
    whole = [mlflow.MlflowClient(site.place.mlflow_uri).get_model_version("shop", v.version) for v in versions]
    return [version.tags["headrace.digest"] for version in whole if "champion" in version.aliases]


def test_a_training_whose_mlflow_accepts_and_never_answers_ends_in_words_before_it_trains(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = site_with(tmp_path, f"http://me:hunter2@127.0.0.1:{silent.getsockname()[1]}")
        words = failure(Way(site, instance).run())
        silent.setblocking(False)
        asked = sum(1 for _ in accepted(silent))
    assert words.startswith("MLflow at http://127.0.0.1:")
    assert "did not do what it was asked" in words
    assert "hunter2" not in words
    assert asked == 2, "asked once, and once more"
    assert site.models.digests() == []


def accepted(server: socket.socket) -> Iterator[None]:
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return
        yield


def test_a_training_whose_mlflow_is_not_there_ends_in_words_before_it_trains(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    site = site_with(tmp_path, f"http://127.0.0.1:{free_port()}")
    assert "Is its server up? Then run this again." in failure(Way(site, instance).run())
    assert site.models.digests() == []


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
