"""Every built-in trainer keeps one protocol: it learns, stores plain bytes, reads them back, and gives the same ones again."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from headrace.core.errors import DeclarationError
from headrace.models.declaration import Model
from headrace.models.predict import Predictor, load_predictor, score_rows
from headrace.models.train import Trained, importance, train_model
from headrace.models.trainer import kind_of, trainer_of
from platform_tests.models.shop import LABEL, graded, model, orders, plain, priced, shop, silent, trained

needs_torch = pytest.mark.skipif(
    not find_spec("torch"), reason="PyTorch is not installed: pip install 'headrace[torch]'"
)
TORCH = pytest.param("torch", marks=needs_torch)
FOREST = "sklearn:sklearn.ensemble.HistGradientBoostingClassifier"
REGRESSOR = "sklearn:sklearn.ensemble.HistGradientBoostingRegressor"
CLASSIFIERS = ["lightgbm", "xgboost", TORCH, FOREST]
DIGEST = """
import sys
from headrace.models.train import train_model
from platform_tests.models.shop import LABEL, orders, plain, silent
from hashlib import sha256
print(sha256(train_model(orders(8000), LABEL, plain(sys.argv[1]), silent).fitted.to_bytes()).hexdigest())
"""
AUDIT = """
import sys
from pathlib import Path
from headrace.models.predict import load_predictor
from headrace.releases.release import Request, release_model
from platform_tests.models.shop import gates, judged, orders, plain, shop, trained
found = []
sys.addaudithook(lambda event, args: found.append(args) if event == "pickle.find_class" else None)
site, declared = shop(Path(sys.argv[1])), plain(sys.argv[2])
digest = trained(site, declared)
judged(site, digest, "auc >= 0.6", declared=declared)
assert release_model(site, Request(digest, "a test", "a test"), gates("auc >= 0.6")).outcome == "released"
assert len(load_predictor(site.models, digest).predict(orders(50))) == 50
print("unpickled", len(found))
"""


def learned(rows: pa.Table, declared: Model) -> Trained:
    return train_model(rows, LABEL, declared, silent)


def scores_of(model: Trained, rows: pa.Table) -> Any:
    return Predictor(model.fitted, model.meta).predict(rows)


def in_a_process(code: str, *given: str, threads: int = 1) -> str:
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    done = subprocess.run(
        [sys.executable, "-c", code, *given], env={**os.environ, **limits}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]


@pytest.mark.parametrize("trainer", CLASSIFIERS)
def test_it_learns_the_truth_as_probabilities_also_of_what_is_missing_or_was_never_seen(trainer: str) -> None:
    rows = orders(seed=1)
    scores = scores_of(learned(orders(), plain(trainer)), rows)
    assert ((scores > 0) & (scores < 1)).all()
    assert scores.dtype == np.float64
    assert roc_auc_score(rows["returned"].to_numpy(), scores) > 0.77
    assert scores.mean() == pytest.approx(rows["returned"].to_numpy().mean(), abs=0.1)
    strange = rows.slice(0, 10).set_column(rows.column_names.index("country"), "country", pa.array(["XX", None] * 5))
    assert np.isfinite(scores_of(learned(orders(), plain(trainer)), strange)).all()


@pytest.mark.parametrize("trainer", ["xgboost", TORCH, REGRESSOR])
def test_it_learns_numbers_and_their_quantiles(trainer: str) -> None:
    rows = priced(seed=1)
    truth = rows["returned"].to_numpy()
    errors = scores_of(learned(priced(), plain(trainer, task="regression")), rows) - truth
    assert np.sqrt((errors**2).mean()) < 0.6 * truth.std()
    high = scores_of(learned(priced(), plain(trainer, task="quantile", quantile=0.9)), rows)
    assert (truth <= high).mean() == pytest.approx(0.9, abs=0.08)


def test_xgboost_ranks_and_weighs_groups_by_the_mean_of_their_rows() -> None:
    rows = graded().append_column("worth", pa.array(np.where(np.arange(2000) % 100 < 50, 1.0, 5.0)))
    ranking = {"task": "ranking", "group": "basket"}
    scores = scores_of(learned(rows, plain("xgboost", **ranking, weight="worth")), graded(orders(seed=1)))
    assert np.corrcoef(scores, graded(orders(seed=1))["returned"].to_numpy())[0, 1] > 0.7


@pytest.mark.parametrize("trainer", CLASSIFIERS)
def test_weights_count(trainer: str) -> None:
    rows = orders(seed=1)
    plainly, heavy = (scores_of(learned(orders(), plain(trainer, **c)), rows) for c in ({}, {"class_weight": {1: 5}}))
    assert heavy.mean() > plainly.mean() + 0.1


@pytest.mark.parametrize("trainer", CLASSIFIERS)
def test_what_was_stored_scores_the_same_and_is_stored_the_same_again(tmp_path: Path, trainer: str) -> None:
    site = shop(tmp_path, orders(1000))
    digest = trained(site, plain(trainer))
    predictor = load_predictor(site.models, digest)
    again = learned(orders(1000).slice(0, 725), plain(trainer))
    assert predictor.meta == again.meta
    assert (score_rows(orders(300), predictor) == scores_of(again, orders(300))).all()
    assert predictor.fitted.to_bytes() == again.fitted.to_bytes()
    assert trained(site, plain(trainer)) == digest


@pytest.mark.slow
@pytest.mark.parametrize(
    "trainer",
    [
        *CLASSIFIERS,
        "sklearn:sklearn.ensemble.RandomForestClassifier",
        "sklearn:platform_tests.models.pipelines.filled",
    ],
)
def test_two_processes_of_one_and_two_threads_give_the_same_bytes(trainer: str) -> None:
    if trainer.endswith("RandomForestClassifier"):
        trainer = "sklearn:platform_tests.models.pipelines.forest"
    found = {in_a_process(DIGEST, trainer, threads=threads) for threads in (1, 2, 2)}
    assert len(found) == 1


@pytest.mark.slow
@pytest.mark.parametrize("trainer", CLASSIFIERS)
def test_nothing_is_unpickled_from_training_to_release_to_score(tmp_path: Path, trainer: str) -> None:
    assert in_a_process(AUDIT, str(tmp_path), trainer) == "0"


@pytest.mark.parametrize("trainer", CLASSIFIERS)
def test_importance_is_a_share_of_each_input_or_nothing(trainer: str) -> None:
    shares = importance(learned(orders(), plain(trainer)))
    if shares:
        assert sum(shares.values()) == pytest.approx(1)
        assert next(iter(shares)) == "price"


@pytest.mark.parametrize(
    ("declared", "why"),
    [
        ({"trainer": "lightgmb"}, "should match pattern"),
        ({"trainer": "xgboost", "params": {"max_dept": 3}}, "'max_dept' is no parameter of XGBoost.*'max_depth'"),
        ({"trainer": "torch", "params": {"widht": 3}}, "'widht' is no parameter of the net.*'width'"),
        ({"trainer": "torch", "params": {"width": 0}}, "'width' of the net is a number of at least 1"),
        ({"trainer": "torch", "params": {"width": "wide"}}, "'width' of the net is a number"),
        ({"trainer": "torch", "trees": 10}, "`trees` are for lightgbm and xgboost"),
        ({"trainer": FOREST, "trees": 10}, "`trees` are for lightgbm and xgboost"),
    ],
)
def test_what_a_trainer_does_not_know_is_refused_while_loading(declared: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Model.model_validate({"split": {"test": "10d"}, **declared})


def test_a_trainer_that_is_none_is_named() -> None:
    with pytest.raises(DeclarationError, match="there is no trainer 'magic'; there are lightgbm, xgboost, torch"):
        trainer_of("magic")


@needs_torch
def test_the_net_ranks_nothing_and_a_step_too_large_is_told() -> None:
    with pytest.raises(DeclarationError, match="ranks nothing: for `task: ranking` say trainer: lightgbm"):
        learned(graded(), plain("torch", task="ranking", group="basket"))


def test_xgboost_says_in_words_what_it_refuses() -> None:
    with pytest.raises(DeclarationError, match=r"XGBoost refuses to train with params .*max_depth"):
        learned(orders(300), plain("xgboost", params={"max_depth": -3}))


def test_the_ui_shows_each_trainer_by_a_word() -> None:
    assert [kind_of(name) for name in ("lightgbm", FOREST, "train.py:fit")] == ["lightgbm", "scikitlearn", "python"]


def test_inputs_whose_names_differ_in_marks_alone_are_both_learned_from() -> None:
    rows = orders(400)
    for name in ("a b", "a_b", "a-b", "a_b_7"):
        rows = rows.append_column(name, rows["noise"])
    made = train_model(rows, LABEL, model(), silent)
    names = made.fitted.booster.feature_name()  # type: ignore[attr-defined]  # of LightGBM
    assert len(set(names)) == len(made.meta.inputs)
    assert {"price", "country", "a_b"} <= set(names)
