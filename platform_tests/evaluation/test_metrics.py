"""Metrics: scikit-learn's to the last digits, in each sample of the rows, however scores tie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_pinball_loss,
    mean_squared_error,
    ndcg_score,
    r2_score,
    roc_auc_score,
)

from headrace.evaluation.metrics import Aim, Decision, Ranked, lift, metrics_of, ranked
from headrace.models.blocks import drawn

SEEDS = st.integers(0, 2**31)
THEIRS = {
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
}


def sample(seed: int, rows: int, digits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    scores = chance.random(rows).round(digits)
    answers = (chance.random(rows) < scores).astype(int)
    answers[:24] = [0, 1] * 12
    return answers, scores, np.concatenate([np.repeat(np.arange(12), 2), chance.integers(0, 12, rows - 24)])


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from([40, 300]), st.sampled_from([1, 2, 12]))
def test_each_metric_of_each_sample_is_that_of_the_rows_drawn_so_often(seed: int, rows: int, digits: int) -> None:
    answers, scores, blocks = sample(seed, rows, digits)
    draws = drawn(12)
    found = metrics_of(ranked(answers, scores, blocks), draws, Aim(decision=Decision(0.4, 1, 5)))
    for number in (0, 1, 2, 500):
        often = draws[number][blocks]
        for name, theirs in THEIRS.items():
            assert found[name][number] == pytest.approx(theirs(answers, scores, sample_weight=often), abs=1e-9), name
        cost = (1 * often * ((scores >= 0.4) & (answers == 0)) + 5 * often * ((scores < 0.4) & (answers == 1))).sum()
        assert found["cost"][number] == pytest.approx(cost / often.sum())


@settings(max_examples=5, deadline=None)
@given(SEEDS)
def test_average_precision_of_many_scores_is_exact_as_a_whole_and_near_in_samples(seed: int) -> None:
    answers, scores, blocks = sample(seed, 20_000, 12)
    draws = drawn(12)
    found = metrics_of(ranked(answers, scores, blocks), draws, Aim())["average_precision"]
    assert found[0] == pytest.approx(average_precision_score(answers, scores), abs=1e-12)
    exact = [average_precision_score(answers, scores, sample_weight=draws[n][blocks]) for n in range(1, 9)]
    assert found[1:9] == pytest.approx(exact, abs=5e-4)


def test_lift_is_how_much_more_often_the_highest_tenth_came_true() -> None:
    answers = np.array([1] * 5 + [0] * 5 + [0] * 85 + [1] * 5)
    scores = np.arange(100, 0, -1) / 100
    rows = ranked(answers, scores)
    assert lift(rows, np.ones((1, 1)))[0] == pytest.approx((5 / 10) / (10 / 100))


def test_rows_of_one_score_share_the_places_of_the_highest_tenth() -> None:
    rows = ranked(np.array([1, 0] * 50), np.full(100, 0.5))
    assert lift(rows, np.ones((1, 1)))[0] == pytest.approx(1)


def test_rates_are_of_all_rows_and_of_either_class() -> None:
    found = metrics_of(ranked([1, 1, 0, 0, 0], [0.9, 0.2, 0.6, 0.1, 0.1]), np.ones((1, 1)), Aim())
    rates = ("positive_rate", "true_positive_rate", "false_positive_rate")
    assert [found[name][0] for name in rates] == pytest.approx([0.4, 0.5, 1 / 3])
    assert "cost" not in found


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_metrics_of_numbers_are_those_of_the_rows_drawn_so_often(seed: int) -> None:
    chance = np.random.default_rng(seed)
    answers = chance.normal(size=200).round(2) + 3.005
    scores, blocks, draws = answers + chance.normal(size=200), np.arange(200) % 12, drawn(12)
    rows = ranked(answers, scores, blocks)
    found = metrics_of(rows, draws, Aim("regression")) | metrics_of(rows, draws, Aim("quantile", quantile=0.9))
    for number in (0, 1, 700):
        often = draws[number][blocks]
        drawn_so = {
            "rmse": mean_squared_error(answers, scores, sample_weight=often) ** 0.5,
            "mae": mean_absolute_error(answers, scores, sample_weight=often),
            "mape": mean_absolute_percentage_error(answers, scores, sample_weight=often),
            "r2": r2_score(answers, scores, sample_weight=often),
            "pinball": mean_pinball_loss(answers, scores, alpha=0.9, sample_weight=often),
            "coverage": (often * (answers <= scores)).sum() / often.sum(),
        }
        assert {name: found[name][number] for name in drawn_so} == pytest.approx(drawn_so)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([1, 6]))
def test_ndcg_is_the_mean_of_the_first_ten_of_each_group_however_scores_tie(seed: int, digits: int) -> None:
    chance = np.random.default_rng(seed)
    grades, scores = chance.integers(0, 4, (20, 15)), chance.random((20, 15)).round(digits)
    groups, order = np.repeat(np.arange(20), 15), np.argsort(scores.ravel(), kind="stable")
    rows = Ranked(grades.ravel()[order], scores.ravel()[order], groups[order] // 2, 10, groups[order])
    found = metrics_of(rows, drawn(10), Aim("ranking"))["ndcg"]
    each = np.array([ndcg_score([2.0**grade - 1], [score], k=10) for grade, score in zip(grades, scores, strict=True)])
    assert found[0] == pytest.approx(each.mean())
    often = drawn(10)[7][np.arange(20) // 2]
    assert found[7] == pytest.approx((often * each).sum() / often.sum())


def test_groups_without_any_grade_above_zero_say_nothing() -> None:
    groups = np.array([0, 0, 1, 1])
    rows = Ranked(np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]), np.zeros(4, dtype=int), 1, groups)
    assert metrics_of(rows, np.ones((1, 1)), Aim("ranking"))["ndcg"].tolist() == [1.0]


def test_numbers_that_are_all_the_same_have_no_r2_and_zeros_no_relative_error() -> None:
    found = metrics_of(ranked(np.zeros(5), np.arange(5.0)), np.ones((1, 1)), Aim("regression"))
    assert np.isnan(found["r2"][0])
    assert np.isnan(found["mape"][0])
    assert found["mae"][0] == 2
