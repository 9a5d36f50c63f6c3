"""Calibration and threshold: learned on rows that the model has not seen, part of its bytes, and never on the test."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.metrics import log_loss

from headrace.core.errors import DataError, DigestMismatch, OneClassOnly
from headrace.evaluation.metrics import HALF
from headrace.models.calibrate import cheapest, held_out, tune
from headrace.models.declaration import Costs
from headrace.models.fit import fit_model
from headrace.models.meta import load_meta
from headrace.models.predict import load_predictor, score_rows
from headrace.models.split import split_rows
from headrace.models.train import NOWHERE
from headrace.models.tuned import FILE
from headrace.store.site import Site
from platform_tests.models.shop import LABEL, judged, model, orders, relabelled, shop, silent, trained, trained_on

METHODS = pytest.mark.parametrize("method", ["isotonic", "platt"])
DEAR = {"false_positive": 1, "false_negative": 5}
WILD = {"params": {"num_leaves": 31, "learning_rate": 0.3, "min_data_in_leaf": 5}, "trees": 60}
"""Too sure of itself: what it has learned by heart does not come true."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return shop(tmp_path, orders(4000))


def overall(site: Site, declared: Any) -> dict[str, float]:
    return judged(site, trained(site, declared), declared=declared).evaluation.overall.metrics


@METHODS
def test_the_scores_of_a_model_that_is_too_sure_come_nearer_to_what_comes_true(site: Site, method: str) -> None:
    plain, calibrated = overall(site, model(**WILD)), overall(site, model(calibrate=method, **WILD))
    assert calibrated["calibration_error"] < 0.7 * plain["calibration_error"]
    assert calibrated["log_loss"] < plain["log_loss"]
    assert calibrated["auc"] == pytest.approx(plain["auc"], abs=0.02)


@METHODS
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_calibration_never_puts_rows_in_another_order(method: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.random(300)
    answers = (chance.random(300) < scores**2).astype(float)
    calibration = tune(scores, answers, model(calibrate=method)).calibration
    assert calibration is not None
    used = calibration.apply(np.linspace(0, 1, 500))
    assert (np.diff(used) >= 0).all()
    assert (used.min() >= 0) & (used.max() <= 1)


def test_calibration_and_threshold_are_part_of_the_models_bytes(site: Site) -> None:
    declared = model(calibrate="isotonic", costs=DEAR)
    digest = trained(site, declared)
    assert digest == trained(site, declared) != trained(site, model(calibrate="platt", costs=DEAR))
    path = site.place.models / digest / FILE
    path.write_bytes(path.read_bytes().replace(b"0.", b"0.1", 1))
    with pytest.raises(DigestMismatch):
        load_predictor(site.models, digest)


def test_labels_of_the_test_change_neither_calibration_nor_threshold(site: Site) -> None:
    rows, declared = orders(4000), model(calibrate="isotonic", costs=DEAR)
    turned = np.where(np.arange(4000) >= 3000, 1 - rows["returned"].to_numpy(), rows["returned"].to_numpy())
    assert trained(site, declared) == trained_on(site, relabelled(rows, turned), declared)


def test_the_rows_that_a_threshold_was_chosen_on_count_as_seen(site: Site) -> None:
    plain, tuned = (load_meta(site.models, trained(site, declared)) for declared in (model(), model(costs=DEAR)))
    assert tuned.train_to == plain.train_to
    assert tuned.rows < 0.85 * plain.rows


def test_the_held_out_rows_are_the_newest_and_came_when_the_labels_of_the_others_were_known() -> None:
    parts = held_out(orders(1000), LABEL, model().split)
    assert pc.max(parts.train["at"]).as_py() + LABEL.known_after <= pc.min(parts.test["at"]).as_py()
    assert parts.test.num_rows == 200


def test_with_a_split_by_group_whole_groups_are_held_out_and_promise_what_the_test_keeps() -> None:
    bought, customers, chance = orders(6000), np.arange(6000) % 150, np.random.default_rng(0)
    habit, address = chance.normal(scale=3, size=150)[customers], chance.random(150)[customers]
    odds = habit + 2 * bought["price"].fill_null(0.0).to_numpy()
    rows = relabelled(bought, (chance.random(6000) < 1 / (1 + np.exp(-odds))).astype(np.int8))
    rows = rows.append_column("customer", pa.array(customers)).append_column("address", pa.array(address))
    by_customer = {"by": "group", "column": "customer", "test": "20%"}
    declared = model(calibrate="platt", ignore=["customer"], split=by_customer, **WILD)
    split = split_rows(rows, LABEL, declared.split)
    held = held_out(split.train, LABEL, declared.split)
    assert not set(held.train["customer"].to_pylist()) & set(held.test["customer"].to_pylist())
    predictor = fit_model(split.train, LABEL, declared, silent, NOWHERE).predictor
    promised, kept = (
        log_loss(part["returned"].to_numpy(), predictor.predict(part)) for part in (held.test, split.test)
    )
    # Split by time a customer is known by its address: 0.42 are promised, and 0.94 kept.
    assert kept == pytest.approx(promised, abs=0.1)
    assert kept < 0.75


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 6]))
def test_no_threshold_costs_less_on_the_rows_it_was_chosen_on(seed: int, false: int, missed: int, digits: int) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.random(60).round(digits)
    answers = (chance.random(60) < scores).astype(float)
    costs = Costs(false_positive=false, false_negative=missed)

    def cost(threshold: float) -> float:
        chosen = scores >= threshold
        return false * (chosen & (answers == 0)).sum() + missed * (~chosen & (answers == 1)).sum()

    best = cost(cheapest(scores, answers, costs))
    assert best == min(cost(threshold) for threshold in [*scores, 2.0])


def test_dear_misses_make_a_model_decide_earlier_and_cost_less_on_rows_it_never_saw(site: Site) -> None:
    declared = model(costs=DEAR)
    digest = trained(site, declared)
    judgement = judged(site, digest, "cost <= 1", declared=declared)
    predictor = load_predictor(site.models, digest)
    test = orders(4000).slice(3000)
    scores, true = score_rows(test, predictor), test["returned"].to_numpy() == 1
    by_half = ((scores >= HALF) & ~true).mean() + 5 * ((scores < HALF) & true).mean()
    assert judgement.threshold is not None
    assert judgement.threshold < HALF
    assert judgement.evaluation.overall.metrics["cost"] < by_half


def test_too_few_rows_or_one_class_to_tune_on_are_refused_with_what_to_do() -> None:
    with pytest.raises(DataError, match="99 rows are too few to calibrate"):
        tune(np.full(99, 0.5), np.arange(99) % 2, model(costs=DEAR))
    with pytest.raises(OneClassOnly, match="fifth of training that is held out"):
        tune(np.full(200, 0.5), np.zeros(200), model(costs=DEAR))


@pytest.mark.parametrize("turned", [False, True])
def test_a_few_rows_at_an_end_do_not_outweigh_the_many_beside_them(turned: bool) -> None:
    scores = np.linspace(0.01, 0.99, 402)
    answers = np.concatenate([[0, 0], [1], np.zeros(99), np.tile([1, 0], 150)]).astype(float)
    if turned:
        scores, answers = 1 - scores[::-1], 1 - answers[::-1]
    calibration = tune(scores, answers, model(calibrate="isotonic")).calibration
    assert calibration is not None
    ends, hundred = (slice(0, 2), slice(2, 102)) if not turned else (slice(400, 402), slice(300, 400))
    rare = 0.99 if turned else 0.01
    assert calibration.apply(scores[hundred]) == pytest.approx(rare), "one of the hundred, as it is"
    assert calibration.apply(scores[ends]) == pytest.approx(rare), "two rows say no more than the hundred"


def test_scores_that_run_against_the_labels_are_not_turned_around() -> None:
    scores = np.linspace(0.01, 0.99, 200)
    with pytest.raises(DataError, match="run against the labels"):
        tune(scores, (scores < 0.5).astype(float), model(calibrate="platt"))


@pytest.mark.parametrize("changes", [{"calibrate": "platt"}, {"costs": DEAR}])
def test_only_a_classification_is_calibrated_or_decided(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="are about chances and decisions"):
        model(task="regression", **changes)
