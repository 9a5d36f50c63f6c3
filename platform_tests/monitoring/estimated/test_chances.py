"""Metrics without labels, of two classes: right where rows change, wrong where the world does, and as NannyML has them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, precision_score, recall_score, roc_auc_score

from headrace.monitoring.declaration import ESTIMABLE
from headrace.monitoring.estimated.chances import Calibrated, Held, calibrated, realized
from platform_tests.monitoring.estimated.simulated import THRESHOLD, Rows, classified

NANNYML = json.loads((Path(__file__).parent / "nannyml.json").read_text())
METRICS = ESTIMABLE["classification"]
SEEDS = st.integers(0, 2**31)
TRIALS, NORMAL = 40, 1.96
STUDENT = 2.093
"""How many deviations a band of 95 % reaches by a test set of twenty days."""


def learned(rows: Rows) -> Calibrated:
    """Return what a test set says."""
    return calibrated(rows.scores, rows.answers, rows.days, THRESHOLD)


def came_true(rows: Rows) -> dict[str, float]:
    """Return the metrics of rows with their labels."""
    return realized(rows.scores, rows.answers, THRESHOLD)


def test_with_labels_the_metrics_are_those_of_scikit_learn() -> None:
    rows = classified(0, 2000)
    found, chosen = came_true(rows), rows.scores >= THRESHOLD
    assert found["auc"] == pytest.approx(roc_auc_score(rows.answers, rows.scores))
    assert found["accuracy"] == pytest.approx(accuracy_score(rows.answers, chosen))
    assert found["precision"] == pytest.approx(precision_score(rows.answers, chosen))
    assert found["recall"] == pytest.approx(recall_score(rows.answers, chosen))
    assert found["log_loss"] == pytest.approx(log_loss(rows.answers, rows.scores))
    assert found["brier"] == pytest.approx(brier_score_loss(rows.answers, rows.scores))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(2, 40))
def test_expected_counts_add_up_to_the_rows_and_won_pairs_are_those_counted_one_by_one(seed: int, rows: int) -> None:
    chance = np.random.default_rng(seed)
    scores = np.sort(chance.integers(0, 6, rows) / 6)
    chances = chance.uniform(0.05, 0.95, rows)
    found = Held(scores, THRESHOLD).expected(chances)
    counts = [found[name] for name in ("true_positives", "false_positives", "false_negatives", "true_negatives")]
    assert sum(counts) == pytest.approx(rows)
    order = (scores[:, None] > scores[None, :]) + 0.5 * (scores[:, None] == scores[None, :])
    won = (chances[:, None] * (1 - chances)[None, :] * order).sum()
    assert found["auc"] == pytest.approx(won / (chances.sum() * (1 - chances).sum()))


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_slopes_are_the_derivatives_of_the_metrics(seed: int) -> None:
    chance = np.random.default_rng(seed)
    held, chances = Held(np.sort(chance.random(30)), THRESHOLD), chance.uniform(0.2, 0.8, 30)
    row, step = int(chance.integers(30)), 1e-5
    moved = chances.copy()
    moved[row] += step
    before, after = held.expected(chances), held.expected(moved)
    for name, slope in held.slopes(chances).items():
        assert (after[name] - before[name]) / step == pytest.approx(slope[row], rel=1e-2, abs=1e-4), name


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    known, rows = learned(classified(1, 500)), classified(seed, 300)
    order = np.random.default_rng(seed).permutation(300)
    there, back = known.estimates(rows.scores), known.estimates(rows.scores[order])
    assert {k: e.value for k, e in there.items()} == pytest.approx({k: e.value for k, e in back.items()})


def test_what_is_kept_with_the_model_says_the_same_after_it_was_read_again() -> None:
    known, rows = learned(classified(1, 500)), classified(2, 300)
    again = Calibrated.model_validate_json(known.model_dump_json())
    assert again.estimates(rows.scores) == known.estimates(rows.scores)


def trials(**analysis: Any) -> dict[str, list[bool]]:
    """Return for each metric whether what came true lay in the band, in seeded trials."""
    found: dict[str, list[bool]] = {}
    for seed in range(TRIALS):
        known = learned(classified(2 * seed, 3000))
        rows = classified(2 * seed + 1, 1500, **analysis)
        real = came_true(rows)
        for name, estimate in known.estimates(rows.scores).items():
            found.setdefault(name, []).append(abs(estimate.value - real[name]) <= STUDENT * estimate.deviation)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0.0, 0.6])
def test_where_rows_change_nine_of_ten_bands_hold_what_comes_true(shift: float) -> None:
    held = trials(shift=shift)
    assert {name: np.mean(held[name]) >= 0.9 for name in METRICS} == dict.fromkeys(METRICS, True)


def test_a_shift_moves_the_estimate_by_more_than_its_band_so_that_the_band_says_something() -> None:
    known = learned(classified(0, 5000))
    still, shifted = (known.estimates(classified(1, 3000, shift=shift).scores)["accuracy"] for shift in (0.0, 2.0))
    assert abs(shifted.value - still.value) > 2 * NORMAL * shifted.deviation


def test_where_the_world_changes_the_estimate_is_wrong_and_does_not_know_it() -> None:
    known, rows = learned(classified(0, 5000)), classified(1, 3000, concept=-2.4)
    estimate, real = known.estimates(rows.scores)["auc"], came_true(rows)["auc"]
    assert estimate.value > 0.75
    assert real < 0.6
    assert estimate.value - real > 5 * estimate.deviation


def test_rows_that_share_their_day_make_the_band_wider() -> None:
    rows = classified(0, 4000)
    moods = np.random.default_rng(0).normal(0, 1.5, 20)[rows.days]
    answers = (np.random.default_rng(1).random(4000) < expit(1.2 * rows.x + 0.6 * rows.z + moods)).astype(float)
    shared = calibrated(rows.scores, answers, rows.days, THRESHOLD)
    alone = calibrated(rows.scores, answers, np.random.default_rng(2).permutation(rows.days), THRESHOLD)
    assert shared.sharing["true_positives"] > 5 * alone.sharing["true_positives"]
    of_days, of_rows = (known.estimates(rows.scores)["true_positives"] for known in (shared, alone))
    assert of_days.deviation > 1.5 * of_rows.deviation


def test_scores_that_are_no_probabilities_have_no_log_loss() -> None:
    rows = classified(0, 1000)
    known = calibrated(rows.scores * 3, rows.answers, rows.days, 1.5)
    found = known.estimates(rows.scores * 3)
    assert "log_loss" not in found
    assert found["auc"].value == pytest.approx(learned(rows).estimates(rows.scores)["auc"].value)


@pytest.mark.parametrize("shift", ["0.0", "0.6"])
@pytest.mark.parametrize("metric", ["auc", "accuracy", "precision", "recall"])
def test_the_estimates_are_those_of_nannyml(shift: str, metric: str) -> None:
    known = learned(classified(1, 5000))
    ours = known.estimates(classified(2, 3000, float(shift)).scores)[metric]
    # Both fit the same isotonic line to the same rows; NannyML rounds counts to five digits for the curve under AUC.
    assert ours.value == pytest.approx(NANNYML["classification"][shift][metric], abs=1e-4)
