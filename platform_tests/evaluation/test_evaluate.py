"""Evaluation: metrics that mean what they say, and none where they would mean nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.errors import DeclarationError, NoRows
from headrace.evaluation.evaluate import Evaluation, Measuring, by_value, evaluate, measure, sampled
from headrace.evaluation.metrics import Aim, ranked
from headrace.models.blocks import drawn
from platform_tests.models.shop import LABEL, orders

SEEDS = st.integers(0, 2**31)


def sample(seed: int, rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    scores = chance.random(rows)
    answers = (chance.random(rows) < scores).astype(np.int8)
    answers[:2] = 0, 1
    return answers, scores


def evaluated(rows: int = 1000, timezone: str = "UTC", *slices: str) -> Evaluation:
    table = orders(rows)
    scores = np.random.default_rng(0).random(rows)
    return evaluate(table, scores, Measuring(LABEL, timezone, slices))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_auc_does_not_change_when_scores_are_stretched(seed: int) -> None:
    answers, scores = sample(seed)
    stretched = np.exp(3 * scores) / 100
    assert measure(answers, stretched).metrics["auc"] == pytest.approx(measure(answers, scores).metrics["auc"])


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    answers, scores = sample(seed)
    order = np.random.default_rng(seed).permutation(len(answers))
    assert measure(answers[order], scores[order]).metrics == pytest.approx(measure(answers, scores).metrics)


def test_scores_that_are_the_answers_are_perfect() -> None:
    answers = np.array([0, 1, 0, 1] * 10)
    metrics = measure(answers, answers.astype(float)).metrics
    assert (metrics["auc"], metrics["average_precision"], metrics["brier"], metrics["calibration_error"]) == (
        1,
        1,
        0,
        0,
    )


def test_a_score_that_is_always_a_tenth_too_high_has_a_calibration_error_of_a_tenth() -> None:
    answers = np.array([0, 1] * 500)
    assert measure(answers, np.full(1000, 0.6)).metrics["calibration_error"] == pytest.approx(0.1)


@pytest.mark.parametrize("answer", [0, 1])
def test_one_class_gives_no_metric_and_says_so(answer: int) -> None:
    measured = measure(np.full(200, answer), np.random.default_rng(0).random(200))
    assert (measured.metrics, measured.rows) == ({}, 200)
    assert "one class only" in measured.note


def test_scores_that_are_no_numbers_give_no_metric_and_say_so() -> None:
    answers, scores = sample(0)
    scores[3] = np.nan
    assert measure(answers, scores).note == "some scores are not numbers"


def test_no_rows_are_refused() -> None:
    with pytest.raises(NoRows):
        evaluated(0)


def test_slices_add_up_to_the_whole() -> None:
    slices = evaluated(1000, "UTC", "country").slices["country"]
    assert sorted(slices) == ["DE", "FR", "PT"]
    assert sum(part.rows for part in slices.values()) == 1000


def test_each_slice_and_month_is_listed_with_its_own_numbers() -> None:
    evaluation = evaluated(1000, "UTC", "country")
    listed = {row["slice"]: row for row in evaluation.listed()}
    assert listed["country DE"]["auc"] == evaluation.slices["country"]["DE"].metrics["auc"]
    assert sum(row["rows"] for name, row in listed.items() if name.startswith("month")) == 1000


def test_missing_values_are_a_slice_of_their_own() -> None:
    answers, scores = sample(0, 4)
    assert sorted(by_value(["a", None, "a", None], answers, scores)) == ["(missing)", "a"]


def test_a_slice_that_is_no_column_gets_the_nearest_name() -> None:
    with pytest.raises(DeclarationError, match=r"judged by 'contry'.*Did you mean 'country'"):
        evaluated(100, "UTC", "contry")


def test_months_are_local() -> None:
    assert list(evaluated(1000, "America/New_York").months) == ["2024-02", "2024-03", "2024-04"]
    assert list(evaluated(1000, "UTC").months) == ["2024-03", "2024-04"]


def test_curves_start_and_end_where_they_must() -> None:
    curves = evaluated().curves
    assert sorted(curves) == ["calibration", "gains", "precision_recall", "roc"]
    for name in ("roc", "gains"):
        assert (curves[name].points[0], curves[name].points[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert curves["precision_recall"].points[-1][0] == 1.0


def test_the_bands_of_curves_hold_the_curves() -> None:
    for curve in evaluated().curves.values():
        across, up = zip(*curve.points, strict=True)
        for place, low, high in curve.band:
            assert low - 0.02 <= np.interp(place, across, up) <= high + 0.02


def test_each_metric_of_all_rows_and_of_large_slices_has_an_interval_around_it() -> None:
    found = evaluated(1000, "UTC", "country")
    for measured in (found.overall, *found.slices["country"].values()):
        assert measured.intervals.keys() == measured.metrics.keys() >= {"auc", "lift", "brier"}
        for name, (low, high) in measured.intervals.items():
            assert low <= measured.metrics[name] <= high


@pytest.mark.slow
@pytest.mark.parametrize("days", [4, 8])
def test_the_interval_of_a_slice_of_few_days_holds_the_truth_as_often_as_any_other(days: int) -> None:
    draws, held = drawn(28), 0
    for seed in range(300):
        chance = np.random.default_rng(seed)
        day = np.repeat(np.arange(28), 40)
        answers = 0.3 * chance.normal(size=28)[day] + chance.normal(size=len(day))
        # All answers lie far above the score: the loss is half their distance, 50 in the whole world.
        rows = ranked(answers, np.full(len(day), -100.0), day)
        part = sampled(rows.part(rows.blocks < days), draws, Aim("quantile", quantile=0.5)).measured(0.95)
        low, high = part.intervals["pinball"]
        held += low <= 50 <= high
    assert 0.9 <= held / 300 <= 0.99


def test_slices_of_few_rows_have_metrics_and_no_interval() -> None:
    few = evaluated(200, "UTC", "country").slices["country"]["DE"]
    assert few.rows < 100
    assert few.metrics["auc"] is not None
    assert few.intervals == {}


def test_the_same_rows_give_the_same_intervals() -> None:
    assert evaluated(500) == evaluated(500)


def test_scores_that_are_no_probabilities_are_ranked_and_not_taken_for_probabilities() -> None:
    answers, scores = sample(0)
    metrics = measure(answers, 10 * scores - 3).metrics
    assert metrics["auc"] == measure(answers, scores).metrics["auc"]
    assert not metrics.keys() & {"log_loss", "brier", "calibration_error"}


def test_an_evaluation_survives_being_written_and_read() -> None:
    found = evaluated(500, "UTC", "country")
    assert Evaluation.model_validate_json(found.model_dump_json()) == found
