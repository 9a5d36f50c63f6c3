"""Stories told to a real MLflow: all of each, once, whoever is killed while telling."""

import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import mlflow.lightgbm
import numpy as np
import pytest

from headrace.evaluation.story import evaluation_story
from headrace.models.candidate import the_candidate, train_candidate
from headrace.models.encode import encode
from headrace.models.predict import load_predictor, score_rows
from headrace.models.story import training_story
from headrace.store.site import Site
from headrace.store.story import LoggedTrial, Origin, Story
from headrace.store.tell import tell_waiting
from platform_tests.models.shop import LABEL, gates, judged, model, orders, plain, shop, silent, trained
from platform_tests.models.test_assets import empty_mlflow, registry

__all__ = ["empty_mlflow"]  # a fixture
pytestmark = pytest.mark.slow
NOON = datetime(2024, 4, 10, 12, tzinfo=UTC)
TELL = """
import sys
from pathlib import Path
from headrace.core.declaration import Identity
from headrace.core.place import Place
from headrace.store.site import Site
from headrace.store.tell import tell_waiting
tell_waiting(Site(Identity(product="shop"), Path(sys.argv[1]), Place.at(Path(sys.argv[1]))))
"""
KILLED_AT = [
    "story_run",  # MLflow has a run, and nothing in it
    "story_measured",  # params and metrics
    "story_read",  # tags and datasets
    "story_filed",  # pictures
    "model_begun",  # a model without files
    "model_logged",  # with files, not registered
    "model_registered",  # registered; the model does not lead there
    "story_ended",  # all but the mark that it was told
    "story_told",  # told, and still on the disk
    "story_measured:1",  # the second story
    "story_ended:1",  # its run has ended
]


@pytest.fixture
def site(tmp_path: Path, empty_mlflow: Path) -> Site:
    (tmp_path / ".headrace").mkdir()
    shutil.copy(empty_mlflow, tmp_path / ".headrace/mlflow.db")
    return shop(tmp_path)


def origin(run: str = "r" * 36, minutes: int = 0) -> Origin:
    return Origin(run=run, job="training", at=NOON + timedelta(minutes=minutes))


def stories(site: Site, declared: Any = None, **more: Any) -> list[Story]:
    """Train and judge, and return what is to be told of it."""
    declared = declared or model()
    trained(site, declared)
    candidate = the_candidate(site)
    made = train_candidate(site, LABEL, declared, candidate.version, silent)
    training = training_story(site, LABEL, candidate, made, origin(**more))
    judgement = judged(site, candidate.digest, declared=declared)
    evaluation = evaluation_story(site, orders(50), judgement, judgement.verdicts(gates()), origin(minutes=1, **more))
    return [training.model_copy(update={"files": {"plots/importance.png": b"png"}}), evaluation]


def wait(site: Site, told: list[Story]) -> None:
    for story in told:
        site.spool.put(story)


def tell_and_be_killed(site: Site, point: str) -> None:
    environment = {**os.environ, "FAILPOINT": point, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", TELL, str(site.folder)], env=environment, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, (point, done.stderr.decode())


def tried_trial(number: int, *folds: float) -> LoggedTrial:
    """Return a trial that took five seconds; one of a single fold was given up."""
    return LoggedTrial(
        name=f"trial {number}",
        params={"num_leaves": "7"},
        metrics=[("auc_of_fold", step, value) for step, value in enumerate(folds)],
        begun=NOON,
        ended=NOON + timedelta(seconds=5),
        end="FINISHED" if len(folds) > 1 else "KILLED",
        tags={"state": "judged" if len(folds) > 1 else "pruned"},
    )


def the_run(site: Site) -> Any:
    client = registry(site)
    [run] = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    return run


def is_whole(site: Site, told: list[Story]) -> None:
    """Assert that all of the stories is there, once."""
    client, [training, evaluation] = registry(site), told
    run = the_run(site)
    assert run.info.status == "FINISHED"
    assert run.info.end_time == int(evaluation.origin.at.timestamp() * 1000)
    assert run.data.params == dict(training.params)
    assert run.data.metrics == pytest.approx(dict(evaluation.metrics))
    histories = [client.get_metric_history(run.info.run_id, key) for key in evaluation.metrics]
    assert [len(history) for history in histories] == [1] * len(evaluation.metrics)
    contexts = [{tag.key: tag.value for tag in used.tags}["mlflow.data.context"] for used in run.inputs.dataset_inputs]
    assert sorted(contexts) == ["testing", "training"]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "plots")] == ["plots/importance.png"]
    [output] = run.outputs.model_outputs
    [version] = client.search_model_versions("name = 'shop'")
    assert version.source == f"models:/{output.model_id}"
    logged = client.get_logged_model(output.model_id)
    assert logged.status == "READY"
    assert logged.params == run.data.params
    assert {metric.key: metric.value for metric in logged.metrics} == pytest.approx(run.data.metrics)
    assert len(logged.metrics) == len(run.data.metrics)
    assert run.info.run_name == f"model {training.model[:12]}"
    assert len(client.search_logged_models([run.info.experiment_id])) == 1
    assert mlflow.lightgbm.load_model(version.source).num_trees() == 20
    assert site.spool.waiting() == []


def test_a_telling_killed_between_any_two_of_its_steps_is_finished_by_the_next_and_nothing_is_there_twice(
    site: Site,
) -> None:
    told = stories(site)
    wait(site, told)
    for point in KILLED_AT:
        tell_and_be_killed(site, point)
    tell_waiting(site)
    is_whole(site, told)


def test_each_trial_is_a_run_within_the_training_once_whoever_is_killed(site: Site) -> None:
    tried = [tried_trial(0, 0.7, 0.8), tried_trial(1, 0.6)]
    wait(site, [Story(origin=origin(), part="candidate", trials=tried)])
    tell_and_be_killed(site, "trial_told")
    tell_and_be_killed(site, "trial_told:1")
    tell_waiting(site)
    client = registry(site)
    [experiment] = [found.experiment_id for found in client.search_experiments(filter_string="name = 'shop'")]
    [parent] = client.search_runs([experiment], f"tags.dagster_run_id = '{origin().run}'")
    within = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    found = client.search_runs([experiment], within, order_by=["tags.`mlflow.runName`"])
    assert [(run.info.run_name, run.info.status) for run in found] == [("trial 0", "FINISHED"), ("trial 1", "KILLED")]
    assert (found[0].data.params, found[0].data.metrics) == ({"num_leaves": "7"}, {"auc_of_fold": 0.8})
    assert [metric.step for metric in client.get_metric_history(found[0].info.run_id, "auc_of_fold")] == [0, 1]
    assert found[0].info.end_time - found[0].info.start_time == 5000


def test_what_is_told_again_changes_nothing_even_where_nobody_knows_that_it_was_told(site: Site) -> None:
    told = stories(site)
    wait(site, told)
    tell_waiting(site)
    for part in ("candidate", "evaluation"):
        registry(site).delete_tag(the_run(site).info.run_id, f"headrace.told.{part}")
    wait(site, told)
    assert tell_waiting(site).troubles == []
    is_whole(site, told)


def test_the_same_model_of_another_training_has_a_run_of_its_own_and_no_second_version(site: Site) -> None:
    wait(site, [*stories(site), *stories(site, run="s" * 36)])
    tell_waiting(site)
    client = registry(site)
    assert len(client.search_runs([client.get_experiment_by_name("shop").experiment_id])) == 2
    assert len(client.search_model_versions("name = 'shop'")) == 1


def test_a_torn_story_is_named_and_stays_and_the_others_are_told(site: Site) -> None:
    told = stories(site)
    wait(site, told)
    torn = site.spool.waiting()[0].with_name("0.story")
    torn.write_bytes(b"torn")
    [trouble] = tell_waiting(site).troubles
    assert trouble.startswith("0.story: ")
    assert "it was torn or edited" in trouble
    torn.unlink()
    is_whole(site, told)


def test_what_mlflow_never_takes_is_named_and_stays_and_the_others_are_told(site: Site) -> None:
    told = stories(site)
    strange = Story(origin=origin("t" * 36, minutes=-1), part="candidate", params={"a name: that MLflow refuses?": "1"})
    wait(site, [strange, *told])
    [trouble] = tell_waiting(site).troubles
    assert "It would say so again." in trouble
    assert [site.spool.read(path) for path in site.spool.waiting()] == [strange]


def test_a_model_that_was_removed_meanwhile_is_told_of_without_its_files(site: Site) -> None:
    told = stories(site)
    wait(site, told)
    site.models.remove(told[0].model)
    assert tell_waiting(site).troubles == []
    assert the_run(site).data.tags["headrace.digest"] == told[0].model
    assert registry(site).search_model_versions("name = 'shop'") == []


def test_the_registry_knows_inputs_as_people_do_and_an_example_of_real_rows(site: Site) -> None:
    wait(site, stories(site))
    tell_waiting(site)
    info = mlflow.models.get_model_info("models:/shop/1")
    assert info.signature is not None
    assert info.signature.inputs.to_dict() == [
        {"type": "double", "name": "price", "required": True},
        {"type": "string", "name": "country", "required": True},
        {"type": "boolean", "name": "gift", "required": True},
        {"type": "double", "name": "noise", "required": True},
    ]
    assert info.signature.outputs.to_dict() == [{"type": "double", "name": "score", "required": True}]
    example = mlflow.models.Model.load("models:/shop/1").load_input_example("models:/shop/1")
    rows = orders().slice(0, 5).select(["price", "country", "gift", "noise"])
    assert example.to_dict("list") == rows.to_pandas().to_dict("list")


@pytest.mark.parametrize("declared", [model(), plain("xgboost"), model(calibrate="isotonic")], ids=str)
def test_mlflow_scores_rows_as_people_know_them_as_we_do(site: Site, declared: Any) -> None:
    told = stories(site, declared)
    wait(site, told)
    tell_waiting(site)
    copy = mlflow.pyfunc.load_model("models:/shop/1")
    rows = orders(50)
    ours = score_rows(rows, load_predictor(site.models, told[0].model))
    assert np.array_equal(copy.predict(rows.select(["price", "country", "gift", "noise"]).to_pandas()), ours)
    if declared.trainer == "lightgbm" and not declared.calibrate:
        booster = mlflow.lightgbm.load_model("models:/shop/1")
        inputs = load_predictor(site.models, told[0].model).inputs
        assert np.array_equal(booster.predict(encode(rows, inputs).to_pandas()), ours)


def test_the_run_names_version_digest_and_origin_of_the_rows_that_it_read(site: Site) -> None:
    told = stories(site)
    wait(site, told)
    tell_waiting(site)
    used = [one.dataset for one in the_run(site).inputs.dataset_inputs]
    learned = next(dataset for dataset in used if dataset.digest == told[0].datasets[0].digest)
    assert learned.name == "shop/training/set"
    assert learned.source_type == "delta_table"
    assert f'"path": "{site.place.tables / "shop/training/set"}", "delta_table_version": 0' in learned.source
    assert '"num_rows": 2000' in learned.profile


def test_a_version_says_why_it_was_trained_on_what_and_what_the_gates_said(site: Site) -> None:
    wait(site, stories(site))
    tell_waiting(site)
    tags = registry(site).get_model_version("shop", "1").tags
    assert tags["headrace.reason"] == "a test"
    assert tags["headrace.training_set"] == "shop/training/set@0"
    assert tags["headrace.gates"] == "all 2 passed"
