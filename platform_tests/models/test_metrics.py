"""Metrics: scikit-learn's to the last digits, in each sample of the rows, however scores tie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from headrace.models.blocks import drawn
from headrace.models.metrics import Decision, binary_metrics, lift, ranked

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
    found = binary_metrics(ranked(answers, scores, blocks), draws, Decision(0.4, 1, 5))
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
    found = binary_metrics(ranked(answers, scores, blocks), draws, Decision())["average_precision"]
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
    found = binary_metrics(ranked([1, 1, 0, 0, 0], [0.9, 0.2, 0.6, 0.1, 0.1]), np.ones((1, 1)), Decision())
    rates = ("positive_rate", "true_positive_rate", "false_positive_rate")
    assert [found[name][0] for name in rates] == pytest.approx([0.4, 0.5, 1 / 3])
    assert "cost" not in found
