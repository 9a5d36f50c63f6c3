"""Trials on a real Ray cluster of two nodes: both compute, and each trial says what it would have said here."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from headrace.core.declaration import Identity
from headrace.core.errors import DeclarationError, StoreError
from headrace.core.place import Place
from headrace.models.candidate import train_candidate
from headrace.models.headline import is_better
from headrace.models.split import split_rows
from headrace.models.trainer import Beside
from headrace.models.tuning.folds import Task, fold_value, validation_folds
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, model, orders, plain, shop, silent
from platform_tests.models.test_assets import Way, metadata, mlflow_runs
from platform_tests.models.test_own import STEPS, TRAIN
from platform_tests.models.tuning.cluster import running_cluster
from platform_tests.models.tuning.test_search import found_by, searched, tuned

TUNE = """
import sys
from pathlib import Path
from platform_tests.models.tuning.test_cluster import on_ray_again, searched, tune, tuned
tuned(on_ray_again(Path(sys.argv[1]), sys.argv[2]), searched(tune=tune(8)))
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_cluster() as found:
        yield found


def on_ray(folder: Path, address: str | None) -> Site:
    site = shop(folder, orders(800))
    return replace(site, place=replace(site.place, ray_address=address))


def on_ray_again(folder: Path, address: str) -> Site:
    """Return the shop of a folder, as it lies there."""
    return Site(Identity(product="shop"), folder, replace(Place.at(folder), ray_address=address))


def tune(trials: int = 8, **space: Any) -> dict[str, Any]:
    return {"trials": trials, "on": "ray", **(space or {"num_leaves": [2, 63], "learning_rate": [0.001, 0.5]})}


@pytest.mark.slow
def test_trials_run_on_both_nodes_at_once_and_say_what_they_would_have_said_here(tmp_path: Path, address: str) -> None:
    site = on_ray(tmp_path, address)
    declared = searched(tune=tune(12))
    found = found_by(tuned(site, declared))
    assert len(found.trials) == 12
    assert len({node for trial in found.trials for node in trial.where}) == 2
    assert any(a.begun < b.ended and b.begun < a.ended for a in found.trials for b in found.trials if a is not b)
    folds = validation_folds(split_rows(orders(800), LABEL, declared.split).train, LABEL, declared.split)
    task = Task(LABEL, declared, Beside(site.folder, "shop"))
    trial = found.trials[-1]
    assert trial.folds == [fold_value(fold, task, trial.params) for fold in folds[: len(trial.folds)]]
    assert not any(is_better(found.metric, trial.value, found.best) for trial in found.trials if trial.value)


@pytest.mark.slow
def test_a_trainer_of_the_users_own_goes_to_the_nodes_with_its_files(tmp_path: Path, address: str) -> None:
    site = on_ray(tmp_path, address)
    (site.folder / "train.py").write_text(TRAIN)
    (site.folder / "steps.py").write_text(STEPS)
    found = found_by(tuned(site, plain("train.py:fit", tune=tune(3, slope=[0.5, 1.0, 2.0]))))
    assert all("here" not in trial.where for trial in found.trials)


@pytest.mark.slow
def test_parameters_that_the_trainer_refuses_on_a_node_are_refused_in_its_words(tmp_path: Path, address: str) -> None:
    with pytest.raises(DeclarationError, match="bagging_fraction"):
        tuned(on_ray(tmp_path, address), searched(tune=tune(2, bagging_fraction=[2.0, 3.0])))


@pytest.mark.slow
def test_a_search_on_ray_that_was_killed_goes_on_with_what_is_left(tmp_path: Path, address: str) -> None:
    site = on_ray(tmp_path, address)
    command = [sys.executable, "-c", TUNE, str(site.folder), address]
    killed = subprocess.run(command, env={**os.environ, "FAILPOINT": "fold_judged:11"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    found = found_by(tuned(site, searched(tune=tune(8))))
    assert 0 < found.resumed < 8
    assert [trial.number for trial in found.trials] == list(range(8))
    assert all(trial.value is None or len(trial.folds) == 3 for trial in found.trials)


@pytest.mark.slow
def test_the_candidate_asset_searches_on_ray_and_mlflow_says_on_which_node_each_trial_ran(
    tmp_path: Path, address: str
) -> None:
    site = on_ray(tmp_path, address)
    with dg.DagsterInstance.ephemeral() as instance:
        result = Way(site, instance, searched(tune=tune(4))).run("candidate")
    assert result.success
    assert metadata(result, "candidate")["tuning"].startswith("4 trials")
    nodes = {run.data.tags["where"] for run in mlflow_runs(site) if "where" in run.data.tags}
    assert nodes
    assert "here" not in nodes


def test_without_an_address_it_is_said_which_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="set HEADRACE_RAY_ADDRESS to host:port"):
        tuned(on_ray(tmp_path, None), searched(tune=tune()))
    with pytest.raises(DeclarationError, match="is 'head': write host:port"):
        tuned(on_ray(tmp_path / "other", "head"), searched(tune=tune()))


def test_the_address_is_that_of_the_environment(tmp_path: Path) -> None:
    assert Place.of_environment(tmp_path, {"HEADRACE_RAY_ADDRESS": "head:6379"}).ray_address == "head:6379"
    assert Place.of_environment(tmp_path, {}).ray_address is None


def test_a_cluster_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"127.0.0.1:1 does not answer.*Is its head up"):
        train_candidate(on_ray(tmp_path, "127.0.0.1:1"), LABEL, model(tune=tune()), 0, silent)
