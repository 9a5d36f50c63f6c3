"""`trainer:` may be a mapping that spreads LightGBM over workers, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.core.document import parse_document
from headrace.core.fingerprint import version_of
from headrace.models.declaration import Model
from headrace.models.recipe import candidate_parts
from platform_tests.models.shop import LABEL, model, shop


def declared(trainer: Any, **changes: Any) -> Model:
    return model(trainer=trainer, **changes)


def on_ray(**changes: Any) -> dict[str, Any]:
    return {"lightgbm": {"on": "ray", "workers": 2} | changes}


def test_a_trainer_on_a_cluster_is_the_trainer_of_that_name_and_is_written_as_it_was() -> None:
    spread = declared(on_ray())
    assert (
        spread.learner,
        spread.workers and spread.workers.workers,
        spread.workers and spread.workers.processors,
    ) == (
        "lightgbm",
        2,
        1,
    )
    assert (declared("lightgbm").learner, declared("lightgbm").workers) == ("lightgbm", None)
    assert Model.model_validate(spread.model_dump(exclude_unset=True)) == spread


def test_on_is_read_as_it_is_written_though_yaml_makes_true_of_it() -> None:
    text = (
        b"model: {split: {test: 10d}, trainer: {lightgbm: {on: ray, workers: 2}}, tune: {on: ray, num_leaves: [2, 8]}}"
    )
    read = parse_document(text, "defs.yaml")["model"]
    assert True in read["tune"]
    spread = Model.model_validate(read)
    assert (spread.workers and spread.workers.on, spread.tune and spread.tune.on) == ("ray", "ray")


@pytest.mark.parametrize(
    ("trainer", "why"),
    [
        ({"xgboost": {"on": "ray", "workers": 2}}, "'xgboost' is not learned on a cluster: lightgbm is"),
        ({}, "'nothing' is not learned on a cluster"),
        (["lightgbm"], "is not learned on a cluster"),
        (on_ray(workers=1), "greater than or equal to 2"),
        (on_ray(processors=0), "greater than or equal to 1"),
        (on_ray(on="dask"), "Input should be 'ray'"),
        (on_ray(worker=2), "unknown key 'worker'.*Did you mean 'workers'"),
        ({"lightgbm": {"workers": 2}}, "Field required"),
    ],
)
def test_what_is_no_trainer_on_a_cluster_is_refused_while_loading(trainer: Any, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        declared(trainer)


def test_a_trainer_that_is_written_wrongly_is_told_once() -> None:
    with pytest.raises(ValidationError, match="should match pattern") as told:
        declared("lightgmb")
    assert told.value.error_count() == 1


def test_parameters_are_checked_as_those_of_the_trainer_itself() -> None:
    with pytest.raises(ValidationError, match="'num_leafs' is no parameter of LightGBM"):
        declared(on_ray(), params={"num_leafs": 3})


def test_a_candidate_is_another_with_workers_and_with_more_of_them(tmp_path: Path) -> None:
    site = shop(tmp_path)
    trainers = ("lightgbm", on_ray(), on_ray(workers=3))
    assert len({version_of(candidate_parts(site, LABEL, declared(trainer))) for trainer in trainers}) == 3
    parts = candidate_parts(site, LABEL, declared(on_ray()))
    assert "headrace.models.spread.worker.learn" in parts
    assert not any(".spread.worker" in part for part in candidate_parts(site, LABEL, declared("lightgbm")))
