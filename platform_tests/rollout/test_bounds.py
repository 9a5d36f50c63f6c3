"""Bounds that hold at every look: they cover, they shrink, and entities that come again count for less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.rollout.bounds import Sums, mean_margin, proportion


def counted(trials: float, successes: float) -> Sums:
    """Return requests of strangers."""
    return Sums(trials, trials, successes, trials, successes, successes)


def clustered(counts: list[int], totals: list[int]) -> Sums:
    n, s = np.array(counts, float), np.array(totals, float)
    return Sums(len(counts), n.sum(), s.sum(), (n * n).sum(), (n * s).sum(), (s * s).sum())


@given(st.integers(0, 5000), st.floats(0, 1), st.floats(0.0005, 0.3))
def test_a_proportion_lies_between_its_bounds_and_less_certainty_brings_them_nearer(
    trials: int, share: float, alpha: float
) -> None:
    sums = counted(trials, round(trials * share))
    low, high = proportion(sums, alpha)
    assert 0 <= low <= sums.mean + 1e-9
    assert sums.mean - 1e-9 <= high <= 1
    wider = proportion(sums, alpha / 10)
    assert wider[0] <= low + 1e-9
    assert high <= wider[1] + 1e-9


def test_nothing_seen_says_nothing() -> None:
    low, high = proportion(Sums(), 0.05)
    assert (low, round(float(high), 6)) == (0, 1)


@pytest.mark.parametrize("chance", [0.003, 0.02, 0.2])
def test_the_true_proportion_leaves_its_bounds_at_any_of_200_looks_as_seldom_as_is_said(chance: float) -> None:
    draws = np.random.default_rng(0).random((2000, 4000)) < chance
    successes = draws.cumsum(axis=1)[:, 19::20].astype(float)
    low, high = proportion(counted(np.arange(20.0, 4001, 20), successes), 0.1)
    assert ((low > chance) | (high < chance)).any(axis=1).mean() <= 0.1


@pytest.mark.parametrize("deviation", [0.05, 1.0, 20.0])
def test_the_true_mean_leaves_its_margin_at_any_look_from_the_hundredth_value_on_as_seldom_as_is_said(
    deviation: float,
) -> None:
    values = (np.random.default_rng(0).exponential(size=(2000, 4000)) - 1) * deviation
    counts = np.arange(100.0, 4001, 20)
    at = counts.astype(int) - 1
    totals, squares = values.cumsum(axis=1)[:, at], (values**2).cumsum(axis=1)[:, at]
    sums = Sums(counts, counts, totals, counts, totals, squares)
    margin = mean_margin(sums.variance, 0.1, 0.1)
    assert (sums.mean > margin).any(axis=1).mean() <= 0.1
    assert (sums.mean < -margin).any(axis=1).mean() <= 0.1
    assert (np.abs(sums.mean) > mean_margin(sums.variance, 0.1, 0.05)).any(axis=1).mean() <= 0.1


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9)), min_size=2, max_size=60))
def test_the_variance_of_a_mean_is_that_of_drawn_entities(entities: list[tuple[int, int]]) -> None:
    counts, totals = [n for n, _ in entities], [min(n, s) for n, s in entities]
    sums = clustered(counts, totals)
    rest = np.array(totals) - sums.mean * np.array(counts)
    expected = len(counts) / (len(counts) - 1) * (rest**2).sum() / sum(counts) ** 2
    assert float(sums.variance) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_one_who_always_fails_counts_once_however_often_they_come() -> None:
    strangers = proportion(clustered([1] * 1000, [1] * 60 + [0] * 940), 0.05)
    one = proportion(clustered([60, *[1] * 940], [60, *[0] * 940]), 0.05)
    assert strangers[0] > 0.03
    assert one[0] < 0.005


def test_few_who_come_often_without_a_failure_prove_less_than_many_who_come_once() -> None:
    many, few = proportion(clustered([1] * 1000, [0] * 1000), 0.05), proportion(clustered([100] * 10, [0] * 10), 0.05)
    assert many[1] < 0.01
    assert few[1] > 0.03


@given(st.floats(1e-9, 10), st.floats(1.1, 10))
def test_a_margin_grows_with_the_variance_and_is_wider_than_that_of_a_single_look(variance: float, more: float) -> None:
    assert mean_margin(variance, 0.1, 0.05) < mean_margin(variance * more, 0.1, 0.05)
    assert mean_margin(variance, 0.1, 0.05) > 1.645 * np.sqrt(variance)


def test_pairs_that_are_all_alike_have_a_margin_near_nothing() -> None:
    assert 0 < mean_margin(0.0, 0.1, 0.05) < 1e-5
