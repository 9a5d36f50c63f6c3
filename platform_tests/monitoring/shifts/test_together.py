"""Columns together: what no single one shows is found, and nothing is found where nothing happened."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from headrace.models.profile import profile_of
from headrace.monitoring.drift import by_chance, cells_of, grouped, groups_of, psi
from headrace.monitoring.shifts.classifier import told_apart
from headrace.monitoring.shifts.reconstruction import components_of, row_errors
from headrace.monitoring.shifts.shift import Shift
from headrace.monitoring.shifts.together import Asked, Usual, shifts_of_all, usual_windows, words_of
from platform_tests.monitoring.shifts.worlds import INPUTS, LAST, history, policy, rows


def found(window: pa.Table, asked: Asked, usual: Usual) -> dict[str, Shift]:
    return {one.kind: one for one in shifts_of_all(history(60, 0), window, LAST, asked, usual)}


def test_a_correlation_that_is_gone_is_found_by_both_where_each_column_alone_is_as_it_was() -> None:
    asked, trained = Asked(INPUTS, policy()), history(60, 0)
    usual, window = usual_windows(trained, asked), rows(500, 5, correlation=0.0)
    now = found(window, asked, usual)
    assert {kind for kind, one in now.items() if one.alarms} == {"domain_classifier", "pca"}
    assert set(now["domain_classifier"].told_by[:2]) == {"x0", "x1"}
    assert set(now["pca"].told_by[:2]) == {"x0", "x1"}
    reference = profile_of(trained.rows, INPUTS)
    current = profile_of(window, INPUTS, reference)
    for column in INPUTS:
        groups = groups_of(reference[column.name])
        counts = [grouped(cells_of(side[column.name]), groups) for side in (reference, current)]
        assert psi(reference[column.name], current[column.name]) < min(by_chance(*counts), 0.1)


def test_rows_like_those_before_are_found_by_neither() -> None:
    asked = Asked(INPUTS, policy())
    now = found(rows(500, 5), asked, usual_windows(history(60, 0), asked))
    assert not [one for one in now.values() if one.alarms]
    assert now["domain_classifier"].limit == 0.65


def test_the_same_rows_and_seed_give_the_same_and_the_words_say_where_limits_come_from() -> None:
    asked = Asked(INPUTS, policy())
    usual = usual_windows(history(60, 0), asked)
    assert found(rows(500, 5), asked, usual) == found(rows(500, 5), asked, usual)
    said = "the limits are those that are declared; the error is held against 56 windows of 5d of the training set, "
    assert words_of(asked.policy, usual) == said + "2022-01-08 to 2022-03-08"


def test_the_words_of_a_shift_name_value_limit_rows_and_columns() -> None:
    asked = Asked(INPUTS, policy())
    now = found(rows(500, 5, correlation=0.0), asked, usual_windows(history(60, 0), asked))
    assert str(now["domain_classifier"]).startswith(
        "a classifier tells the window from the training set with an AUC of 0."
    )
    assert "limit 0.650, over 500 rows to 2024-06-30; it looks most at x" in str(now["domain_classifier"])
    assert str(now["pca"]).startswith("the reconstruction error of all columns is 1.")
    assert "over 500 rows to 2024-06-30; farthest from usual: x" in str(now["pca"])


def test_without_a_history_the_error_is_held_against_what_chance_does() -> None:
    asked = Asked(INPUTS, policy())
    usual = usual_windows(history(14, 0), asked)
    assert usual == Usual(words="the limits are those that are declared: 14 days of history are too few")
    assert not found(rows(500, 5), asked, usual)["pca"].alarms
    assert found(rows(500, 5, correlation=0.0), asked, usual)["pca"].alarms


def test_a_window_of_few_rows_is_not_measured() -> None:
    assert found(rows(49, 1), Asked(INPUTS, policy()), Usual()) == {}


def test_an_auc_beyond_its_declared_limit_that_chance_may_reach_is_no_alarm() -> None:
    strict = Asked(INPUTS, policy(multivariate={"domain_classifier": {"auc": 0.501}}))
    now = found(rows(60, 5), strict, Usual())["domain_classifier"]
    assert now.limit == pytest.approx(0.5 + 3.09 * ((4000 + 60 + 1) / (12 * 4000 * 60)) ** 0.5)


def test_missing_values_and_categories_are_numbers_without_a_label() -> None:
    before = rows(300, 0).set_column(0, "x0", pa.array([None if n % 5 == 0 else float(n % 7) for n in range(300)]))
    components = components_of(before, INPUTS, 0.99)
    errors = row_errors(components.errors(before))
    assert np.isfinite(errors).all()
    after = before.set_column(4, "country", pa.array(["XX"] * 300))
    assert np.isfinite(row_errors(components.errors(after))).all()
    assert set(components.shares["country"].values()) == {
        before["country"].to_pylist().count(name) / 300 for name in ("DE", "FR", "PT")
    }


def test_components_that_hold_all_but_a_millionth_reconstruct_nearly_all() -> None:
    near, far = (
        row_errors(components_of(rows(400, 0), INPUTS, share).errors(rows(400, 1))) for share in (0.999999, 0.3)
    )
    assert near.mean() < 0.01 < far.mean()


def test_samples_of_one_world_have_an_auc_of_about_a_half_and_moved_ones_more() -> None:
    told = told_apart(rows(1000, 0), rows(1000, 1), INPUTS, 0)
    assert abs(told.auc - 0.5) < told.chance - 0.5
    moved = rows(1000, 1)
    moved = moved.set_column(2, "x2", pa.array(moved["x2"].to_numpy() + 2))
    found = told_apart(rows(1000, 0), moved, INPUTS, 0)
    assert found.auc > 0.85
    assert found.by[0] == "x2"


@pytest.mark.slow
def test_calibrated_limits_of_both_together_alarm_no_more_often_than_declared() -> None:
    rate = policy(threshold="calibrated", false_alarms="1 per 10d")
    alarms = trials = 0
    for world in range(3):
        asked = Asked(INPUTS, rate, seed=world, most=400)
        trained = history(60, world, a_day=40)
        usual = usual_windows(trained, asked)
        said = words_of(rate, usual)
        assert said.startswith("limits calibrated on 56 windows of 5d of the training set")
        assert said.endswith("for 1 per 10d of both measures together")
        for number in range(30):
            now = list(shifts_of_all(trained, rows(200, 1000 * (world + 1) + number), LAST, asked, usual))
            alarms, trials = alarms + any(one.alarms for one in now), trials + 1
        gone = list(shifts_of_all(trained, rows(200, world, correlation=-0.5), LAST, asked, usual))
        assert all(one.alarms for one in gone)
    assert alarms <= binom.ppf(0.975, trials, 0.1), f"{alarms} of {trials} windows alarmed"
